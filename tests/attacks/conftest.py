"""What every attack has in common: a canary that must stay silent."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A place where a file appears as soon as code of the release runs; after each attack nothing may be there."""
    place = tmp_path / "canary"
    yield place
    assert not place.exists()
