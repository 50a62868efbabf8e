"""The finder: a plugin's package comes from its verified tree, or from nowhere."""

import importlib
import importlib.resources
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cloned.host.finder import VerifiedFinder
from cloned_schemas.errors import TrustRefused
from kernel.core.tests.host.bench import PLUGIN, Bench, kernel_release
from tests.attacks import forge

MODULES = {"deep/__init__.py": "", "deep/down.py": "from acme_mood import plugin\nDEPTH = 2\n"}


def copy_on_path(folder: Path, canary: Path) -> None:
    package = folder / "elsewhere" / "acme_mood"
    package.mkdir(parents=True)
    (package / "__init__.py").write_bytes(forge.canary_source(canary))
    sys.path.insert(0, str(package.parent))


def test_a_module_that_is_loaded_already_shadows_the_plugin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acme_mood", ModuleType("acme_mood"))
    bench.install(kernel_release())
    assert bench.states() == {"acme-mood": "TOPLEVEL_SHADOWED"}
    monkeypatch.delitem(sys.modules, "acme_mood")
    bench.refresh()
    assert bench.states() == {"acme-mood": "enabled"}


def test_a_copy_on_the_path_shadows_the_plugin_and_never_runs(bench: Bench, tmp_path: Path) -> None:
    copy_on_path(tmp_path, tmp_path / "canary")
    bench.install(kernel_release())
    assert bench.states() == {"acme-mood": "TOPLEVEL_SHADOWED"}
    assert str(tmp_path / "elsewhere") in (bench.host.verdicts()[0].reason or "")
    assert bench.host.ask("cloned_checks") == []
    assert not (tmp_path / "canary").exists()


def test_a_copy_that_comes_after_the_judgement_is_still_noticed(bench: Bench, tmp_path: Path) -> None:
    bench.install(kernel_release())
    copy_on_path(tmp_path, tmp_path / "canary")
    with pytest.raises(TrustRefused, match="TOPLEVEL_SHADOWED"):
        bench.host.activate("acme-mood")
    assert bench.host.ask("cloned_checks") == []
    assert bench.reported == [("acme-mood", "TOPLEVEL_SHADOWED")]
    assert not (tmp_path / "canary").exists()


def test_a_copy_that_comes_after_the_load_never_wins(bench: Bench, tmp_path: Path) -> None:
    bench.install(kernel_release(files=MODULES))
    bench.host.activate("acme-mood")
    copy_on_path(tmp_path, tmp_path / "canary")
    assert importlib.import_module("acme_mood.deep.down").DEPTH == 2
    assert not (tmp_path / "canary").exists()


def test_a_bare_folder_of_that_name_shadows_nothing(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "acme_mood").mkdir(parents=True)
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    bench.install(kernel_release())
    assert bench.states() == {"acme-mood": "enabled"}
    bench.host.activate("acme-mood")


def test_a_worker_plugin_owns_no_package_here(bench: Bench) -> None:
    from kernel.core.tests.host.bench import ACME  # noqa: PLC0415 - the one test that needs it

    bench.install(forge.release(ACME))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("acme_weather")


def test_submodules_and_data_come_from_the_tree(bench: Bench) -> None:
    release = bench.install(kernel_release(files={**MODULES, "data.txt": "mild"}))
    bench.host.activate("acme-mood")
    down = importlib.import_module("acme_mood.deep.down")
    assert down.__file__ == str(bench.tree(release) / "acme_mood/deep/down.py")
    assert importlib.resources.files("acme_mood").joinpath("data.txt").read_text() == "mild"


@pytest.mark.parametrize("planted", ["extra.py", "extra/__init__.py", "extra.so", "extra.pyc"])
def test_a_file_that_the_manifest_does_not_list_cannot_be_imported(bench: Bench, tmp_path: Path, planted: str) -> None:
    release = bench.install(kernel_release(files={"asks.py": "from acme_mood import extra\n"}))
    bench.host.activate("acme-mood")
    place = bench.tree(release) / "acme_mood" / planted
    (bench.tree(release) / "acme_mood").chmod(0o755)
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(forge.canary_source(tmp_path / "canary"))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("acme_mood.extra")
    with pytest.raises(ImportError, match="cannot import name"):
        importlib.import_module("acme_mood.asks")
    assert not (tmp_path / "canary").exists()


def test_another_packages_name_is_left_to_others(bench: Bench) -> None:
    bench.install(kernel_release())
    bench.host.activate("acme-mood")
    assert isinstance(sys.meta_path[0], VerifiedFinder)
    assert sys.meta_path[0].find_spec("acme_moody") is None
    assert sys.meta_path[0].find_spec("json.decoder") is None


def test_another_release_takes_the_place_of_a_loaded_one(bench: Bench) -> None:
    bench.install(kernel_release(PLUGIN + "RELEASE = 1\n"))
    bench.host.activate("acme-mood")
    assert sys.modules["acme_mood.plugin"].RELEASE == 1
    bench.install(kernel_release(PLUGIN + "RELEASE = 2\n", version="1.0.1"))
    assert bench.states() == {"acme-mood": "enabled"}
    assert "acme_mood" not in sys.modules
    bench.host.activate("acme-mood")
    assert sys.modules["acme_mood.plugin"].RELEASE == 2


def test_a_plugin_that_is_refused_loses_its_code_at_once(bench: Bench) -> None:
    bench.install(kernel_release())
    bench.host.activate("acme-mood")
    bench.refresh(publishers=[])
    assert "acme_mood" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("acme_mood")


def test_two_hosts_in_one_process_share_a_release_and_keep_others_apart(bench: Bench) -> None:
    first = kernel_release()
    bench.install(first)
    bench.host.activate("acme-mood")
    second = bench.beside()
    second.install(first)
    assert second.states() == {"acme-mood": "enabled"}
    [(_, checks)] = second.host.ask("cloned_checks")
    assert checks[0].id == "acme.mood"
    second.install(kernel_release(version="1.0.1"))
    assert second.states() == {"acme-mood": "TOPLEVEL_SHADOWED"}
    second.host.close()
    bench.host.activate("acme-mood")
