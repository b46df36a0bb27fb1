"""A few drawn faces, the same for every training test."""

import pytest

from models.faces.synthetic import drawn_faces


@pytest.fixture(scope="session")
def faces():
    """Twelve drawn faces."""
    return drawn_faces(12, seed=0)
