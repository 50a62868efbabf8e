"""Our own plugins pass the rulebook that everybody's must pass, and their tool ids stay what they were."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cloned_devkit import check, pack
from cloned_devkit.main import main
from cloned_schemas.trust import Publisher, Revocations
from cloned_trust.release import judge_release

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(place.parent for place in (ROOT / "plugins").glob("*/pyproject.toml"))

# Every tool id that we publish. An id once published is never taken away and never means anything else.
TOOLS = {
    "cloned-connector-documents": [
        "cloned.documents.list@v1",
        "cloned.documents.read@v1",
        "cloned.documents.search@v1",
    ],
    "cloned-policy-packs": [],
    "cloned-research": ["cloned.research.synthesize@v1"],
    "cloned-skills": ["cloned.artifact.export@v1"],
    "cloned-vault-file": [],
}


def test_the_table_names_every_plugin() -> None:
    assert sorted(TOOLS) == [folder.name for folder in PLUGINS]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_nothing_refuses_it(folder: Path) -> None:
    report = check.check(folder)
    assert [finding for finding in report.findings if finding.refuses] == []


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_it_is_of_our_publisher_and_offers_the_tools_in_the_table(folder: Path) -> None:
    manifest = pack.pack(folder).manifest
    assert (manifest.id, manifest.publisher_id) == (folder.name, "cloned")
    assert sorted(tool.id for tool in manifest.tools) == TOOLS[folder.name]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_packed_and_signed_it_is_accepted(folder: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> None:
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output

    run("publisher", "init", "cloned", "--namespace", "cloned", "--kernel", "--out", tmp_path / "keys")
    run("pack", folder, "--out", tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run("sign", wheel, "--key", tmp_path / "keys" / "secret-key.json")
    verdict = judge_release(
        wheel=wheel.read_bytes(),
        wheel_name=wheel.name,
        signature=wheel.with_name(f"{wheel.name}.cloned.dsse.json").read_bytes(),
        publishers=[Publisher.model_validate_json((tmp_path / "keys" / "publisher.json").read_bytes())],
        revocations=Revocations(),
    )
    assert verdict.accepted, verdict.findings
