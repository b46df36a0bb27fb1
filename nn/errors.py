"""The one exception that a user of the command can meet, and how text from outside is shown."""

MOST, HEAD, TAIL = 2000, 1300, 600  # characters of a message: all of them up to MOST, else the first and the last


class InputError(ValueError):
    """Something that came from outside is wrong: one line that names it, says what was expected and how to mend it.

    Whatever a hostile file or name brings into the message, it stays one printable line of at most 2000 characters.
    The command prints the line and ends with exit code 2.
    """

    def __init__(self, message: str):
        line = shown(message)
        super().__init__(line if len(line) <= MOST else f"{line[:HEAD]} [...] {line[-TAIL:]}")


def shown(text: object) -> str:
    """A path or another text as one printable line, whatever it holds."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
