"""The one exception that a user of the command can meet."""


class InputError(ValueError):
    """Something that came from outside is wrong: one line that names it, says what was expected and how to mend it.

    The command prints the line and ends with exit code 2.
    """
