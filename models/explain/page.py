"""The page that gathers the pictures: what each one shows, and how to read it."""

from pathlib import Path

import numpy as np

from models.explain.errors import landmark_errors
from models.explain.face import Face
from models.explain.recurrent import Trace
from models.explain.seeds import AMOUNTS, VIEWS
from models.faces.sequences import window_indices
from models.paper.document import Figure, Part, Section, html
from models.runs import Run
from nn.errors import shown

READOUT = {
    "mean": """A landmark is the mean of all windows that show it, and only this mean is trained: what one step writes may lie far from the
        face. Here it is {away:.1f} px off on average, while the means fit.""",
    "newest": """A landmark is read from the first window that shows it, the other points of a window are free: here the points of the
        steps lie {away:.1f} px from the landmarks on average.""",
    "point": "With this readout a window is one landmark.",
}


def page(run: Run, photo: Path, face: Face, trace: Trace, far: np.ndarray, folder: Path) -> str:
    """The HTML page, with the pictures of `folder` inside. far (5, 10): what `seeds.effect` says."""
    sections = [
        Section("The face", face_part(run, photo)),
        Section("How far off each landmark is", errors_part(face)),
        Section("The convolutions", convolutions_part()),
        Section("The recurrent part, step by step", recurrent_part(run, face, trace)),
        Section("The seeding numbers", seeds_part(far)),
        Section("Where the landmarks come from", saliency_part()),
    ]
    return html(f"What COREFAN does with {shown(photo.name)}", sections, folder)


def face_part(run: Run, photo: Path) -> list[Part]:
    """Which network, which face."""
    net = run.settings.net
    return [
        f"""COREFAN with {net.width} channels in its first convolution and {net.units} LSTM units, from `{shown(run.folder.name)}`, looks at
        `{shown(photo.name)}`: first where a box says that a face is, then, as explained here, at the frame that its first landmarks make.
        The five parts that it draws, chin, eyebrows, eyes, nose and mouth, have the same colours in all pictures.""",
        Figure("Where it looks, and what it answers", "face.png"),
    ]


def errors_part(face: Face) -> list[Part]:
    """The error by landmark, or why there is none."""
    if face.true is None:
        return ["No `.pts` file beside the photo marks this face, so nothing is known of the errors."]
    errors = landmark_errors(face.points, face.true)
    worst = int(errors.argmax())
    return [
        f"""The `.pts` file beside the photo says where the landmarks are (circles); a line leads to where the network puts them. The mean
        error is {errors.mean():.2f} % of the distance of the outer eye corners, the inter-ocular error of Table 5; landmark {worst} is
        worst with {errors[worst]:.1f} %.""",
        Figure("Error by landmark", "errors.png", "The larger and redder a circle, the farther off. Dashed: the mean of all 68."),
    ]


def convolutions_part() -> list[Part]:
    """Filters and feature maps."""
    return [
        """The CNN of Table 4 turns gray levels into features. A filter of conv-1 weighs 3 × 3 pixels: red weights add, blue ones take away
        (the slope of batch norm is in them). Beside each filter is what it makes of the face, bright where it found its pattern.""",
        Figure("Filters of conv-1 and what they find", "filters.png", "The 16 channels that vary most over the frame, with their numbers."),
        """Stage by stage the maps get coarser and their meaning wider: from edges to eyes, lips and the outline of the chin. Where the
        frame reaches beyond the photo it is black, and the photo's border is an edge like any other.""",
        Figure("Feature maps", "maps.png", "Of each stage the eight channels that vary most, from black (0) to their own greatest values."),
    ]


def recurrent_part(run: Run, face: Face, trace: Trace) -> list[Part]:
    """Gates, and the windows as they slide."""
    steps = window_indices(run.settings.net.readout)  # (T, K)
    away = np.linalg.norm(trace.windows[0] - face.points[steps], axis=-1).mean()
    return [
        f"""The LSTM of equation (4) draws the face in {len(steps)} steps; time is the landmark index (Figures 6 and 7). A column is a step,
        a row one of {run.settings.net.units} units, ordered by the step at which its hidden state stands out most; lines divide the parts.
        Look for what changes at a line, where another seed and other weights of the features come in, and for what runs on across it.""",
        Figure("Gates, cell and hidden state", "gates.png", "A part's first step draws a whole window, each later one adds a landmark."),
        f"""Each step writes a window of neighbouring landmarks (crosses), the next one is a landmark further (broad band); what no later
        window changes is drawn in colour. {READOUT[run.settings.net.readout].format(away=away)}""",
        Figure("The face as it is drawn", "drawing.gif"),
    ]


def seeds_part(far: np.ndarray) -> list[Part]:
    """What the seeding numbers do."""
    return [
        f"""In Figure 5 of the paper a network that learned the sine draws another wave from another seed. The same with a face: the CNN
        hands the LSTM ten seeding numbers a part, S_part. One at a time is moved here, from {AMOUNTS[0]:+.0f} (blue) to {AMOUNTS[-1]:+.0f}
        (red) standard deviations; dark gray is the face as it was. A standard deviation is that of {VIEWS} views of this very face, turned,
        scaled and shifted.""",
        f"""A number moves its own part and those drawn after it, since the state of the LSTM runs on, and none drawn before. All 68
        landmarks together move by {np.median(far):.1f} px at the median and {far.max():.1f} px at most: the seeds are not all that the LSTM
        knows of a face, the features f_ih reach it too.""",
        Figure("Each number alone", "seeds.png", "Above each face: how far the landmarks go from blue to red, their mean."),
        Figure("Of each part the number that does most", "sweep.gif"),
    ]


def saliency_part() -> list[Part]:
    """The backward pass."""
    return [
        """The backward pass, from the landmarks to the pixels: bright where a small change of gray moves the landmarks of a part most. A
        map is the root of the sum of squares of ∂(x, y)/∂(pixel) over the part's landmarks, blurred a little, from 0 to its own greatest
        value. It tells what the answer to this picture hangs on, not what the network has learned of faces at large.""",
        Figure("Saliency", "saliency.png"),
    ]
