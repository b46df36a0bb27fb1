"""What all pictures of one call of `faceseed predict` share."""

from dataclasses import dataclass

from models.predicting.boxes import Boxes
from models.predicting.finder import Finder
from models.predicting.window import Keys
from models.predicting.writers import Writer


@dataclass
class Job:
    """The models, where boxes come from, where outputs go, and how they look."""

    finder: Finder
    boxes: Boxes
    writer: Writer
    styles: set[str]
    keys: Keys
    windowed: dict[str, bool]  # kind of source: shown in a window?
    redetect: int = 30  # frames
    fps: bool = False  # in the corner of written videos
