"""Files that somebody else may have made: regular ones only, read up to a limit, and told of in one line."""

import json
import os
from pathlib import Path
from typing import Any

from nn.errors import InputError, shown

KIB, MIB = 2**10, 2**20


def read_bytes(path: str | Path, limit: int, what: str) -> bytes:
    """The bytes of a file, at most `limit`. Raises InputError, naming `what` was expected, where it is missing, larger, or no file."""
    refuse_endless(path, what)
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)}: cannot be read ({why}); give the path of {what}") from error
    if len(data) > limit:
        size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // KIB} KiB"
        raise InputError(f"{shown(path)}: expected {what}, found more than {size}; give the path of {what}")
    return data


def refuse_endless(path: str | Path, what: str) -> None:
    """Raise InputError where a path is that of a pipe or a device: reading from it might never end, or never begin."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise InputError(f"{shown(path)}: expected {what}, found a pipe or a device; give the path of {what}")


def read_text(path: str | Path, limit: int, what: str) -> str:
    """The text of a UTF-8 file, with or without a mark at its beginning; line ends stay. Raises InputError as `read_bytes` does."""
    try:
        return read_bytes(path, limit, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(path)}: expected {what}, found no UTF-8 (at byte {error.start}); save it as UTF-8 text") from None


def read_json(path: str | Path, limit: int, what: str) -> dict[str, Any]:
    """The object that a JSON file holds. Raises InputError where it holds another thing, and as `read_text` does."""
    text = read_text(path, limit, what)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: as deep as Python's stack
        raise InputError(f"{shown(path)}: expected {what}, found no JSON that can be read ({error}); bring a whole copy") from None
    if not isinstance(found, dict):
        raise InputError(f"{shown(path)}: expected {what}, found JSON that is no object; bring a whole copy")
    return found
