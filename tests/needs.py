"""What some tests need that not every machine has. In CI it must be there."""

import os

import pytest

from nn.emulator import EmulatorError, compiler


def needs_compiler():
    """g++, for the emulator: without it the test fails in CI, and is skipped elsewhere."""
    try:
        compiler.compiler_version()
    except EmulatorError as error:
        if "CI" in os.environ:
            pytest.fail(str(error))
        pytest.skip(f"not run: {error}")
