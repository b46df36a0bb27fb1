"""`faceseed export` and `faceseed import`: a run as an ONNX file or a PyTorch state dict, and a state dict as a run."""

import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from models.faces import ibug
from models.folder import begun
from models.interchange.state_dict import from_torch_names, to_torch_names
from models.runs import Run, papers, say_skipped
from models.settings import Settings
from models.tasks import model_for
from nn import InputError, checkpoint
from nn.files import refuse_endless
from nn.training import BEST

UNPACKED = 4 * 2**30  # bytes of a state dict, at most
STAND_INS = 20  # drawn faces whose mean serves where nobody says what a model was trained on
DRAWN, UNKNOWN = "drawn-", "unknown"  # how the names of drawn faces begin; the photo that stands for all where nobody names them


def export_run(run: Run, path: Path) -> None:
    """Write the model as ONNX (.onnx) or as PyTorch's state dict (.npz). Raises InputError where the file cannot be that."""
    if path.suffix not in (".onnx", ".npz"):
        raise InputError(f"{path}: expected a name that ends in .onnx (ONNX) or .npz (a PyTorch state dict)")
    if path.exists():
        raise InputError(f"{path}: exists already; choose another file, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **to_torch_names(run.model))  # type: ignore[arg-type]
        return
    try:
        from models.interchange.graph import onnx_model
    except ImportError as error:
        raise InputError(
            f"ONNX files need the onnx package ({error}): pip install onnx, or pip install '.[onnx]' in faceseed's folder"
        ) from None
    path.write_bytes(onnx_model(run.model, run.settings, licence(run.photos)).SerializeToString())


def licence(photos: set[str]) -> str:
    """What a file of weights that were trained on these photos should say of their use; a sine has seen none."""
    if all(photo.startswith(DRAWN) for photo in photos):
        return "MIT, as faceseed itself: trained on drawn data alone."
    return "The terms of the photos it was trained on bind these weights too: 300-W is for research only, not for commercial products."


def import_run(path: Path, settings: Settings, folder: Path, skip_bad: bool = False) -> None:
    """Make a run folder of a state dict, for evaluate, predict and --set start=.

    settings.data names the photos that it was trained on, which are not to be tested on. Where it is empty, no photo is kept from testing.
    Raises InputError where the file or the data cannot be read, or an array does not fit.
    """
    model, arrays = model_for(settings), read_state_dict(path)
    try:
        from_torch_names(model, arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    faces = None
    if settings.model != "sine":
        if settings.data:
            faces = ibug.load(settings.data, ("train", "other"), skip_bad)
            say_skipped(faces.skipped)
        else:
            from models.faces.synthetic import drawn_faces

            faces = replace(drawn_faces(STAND_INS, settings.seed), photos=[UNKNOWN] * STAND_INS)
    with begun(folder, papers(settings, faces)) as unfinished:
        checkpoint.save(unfinished / BEST, checkpoint.prefixed("model", model.state()), {"settings": asdict(settings)})


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name, in the file's order: an .npz, or what torch.save wrote where PyTorch is installed. Raises InputError."""
    if path.suffix in (".pth", ".pt"):
        return read_pickled(path)
    refuse_endless(path, "a state dict")
    try:
        with zipfile.ZipFile(path) as file:
            refuse_large(file)
            arrays = {member.filename.removesuffix(".npy"): checkpoint.array_of(file.read(member)) for member in file.infolist()}
    except Exception as error:  # whatever zipfile and its decoders make of damaged bytes
        raise InputError(f"{path}: no .npz that can be read ({reason(error)}); give an .npz or .pth of a state dict") from None
    if checkpoint.RECORD in arrays:
        raise InputError(f"{path}: is of faceseed's own making, no state dict; give it, or its run folder, to the other commands as it is")
    return arrays


def read_pickled(path: Path) -> dict[str, np.ndarray]:
    """What torch.save wrote of a state dict; nothing else that such a file may hold is run."""
    try:
        import torch
    except ImportError:
        state = f'torch.load("{path.name}", map_location="cpu", weights_only=True)'
        code = f'import numpy, torch; numpy.savez("{path.stem}.npz", **{{k: v.numpy() for k, v in {state}.items()}})'
        raise InputError(f"{path}: reading it takes PyTorch: pip install torch, or where it is installed run: {code}") from None
    refuse_endless(path, "a state dict")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                refuse_large(file)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if sum(t.numel() for t in state.values()) * 8 > UNPACKED:  # one number may stand for many
            raise ValueError("too many numbers")
        return {name: (t.detach().float() if t.is_floating_point() else t).numpy() for name, t in state.items()}
    except Exception as error:  # whatever a damaged or foreign pickle makes of it
        hint = "save it by torch.save(model.state_dict(), ...)"
        raise InputError(f"{path}: holds no state dict that can be read ({reason(error)}); {hint}") from None


def refuse_large(file: zipfile.ZipFile) -> None:
    """Raise ValueError where unpacking would take more memory than any model here."""
    if (unpacked := sum(member.file_size for member in file.infolist())) > UNPACKED:
        raise ValueError(f"it would unpack to {unpacked / 1e9:.1f} GB")


def reason(error: Exception) -> str:
    """The first line of what an exception says."""
    return (str(error) or type(error).__name__).splitlines()[0]
