"""A plugin host over a real store for each test, and the means to change that store behind its back."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloned.host.plugins import PluginHost
from cloned_storage.store import Store
from kernel.core.tests.host.bench import Bench, lent


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = Store(tmp_path / "store")
    reported: list[tuple[str, str]] = []
    host = PluginHost(
        store,
        lambda plugin: lent(plugin, tmp_path),
        reserved=("cloned.internal.artifact.save@v1",),
        report=lambda plugin_id, fault: reported.append((plugin_id, fault.id)),
    )
    before = list(sys.meta_path)
    yield Bench(tmp_path, store, host, reported)
    host.close()
    assert sys.meta_path == before
    assert [name for name in sys.modules if name.startswith("acme_")] == []


@pytest.fixture
def writable() -> Callable[[Path], None]:
    """Lets a test change a file of the store, as somebody with the user's rights would."""

    def make(path: Path) -> None:
        for place in (path.parent, path):
            if place.exists() and not place.is_symlink():
                place.chmod(place.stat().st_mode | 0o200)

    return make


@pytest.fixture(autouse=True)
def no_second_copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tests that put folders on the path take them away again."""
    path = list(sys.path)
    monkeypatch.setattr(sys, "path", path)
    return path
