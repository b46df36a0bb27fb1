"""The emulator's tests compile with g++."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def with_a_compiler(compiler):
    """Every test here needs it."""
