"""Who may take part: registry, lock and store must agree, and the store must hold what a trusted publisher signed."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.errors import ClonedError
from cloned_schemas.registry import Grants, Lock, Registry, RegistryEntry
from cloned_schemas.trust import Revocations
from kernel.core.tests.host.bench import ACME, PLUGIN, Bench, judged, kernel_release, lock_entry
from tests.attacks import forge

TOOL = "acme.weather.today@v1"
OTHER = "0" * 64
TEXT = {"type": "string"}


def verdict(bench: Bench, plugin_id: str = "acme-weather") -> Any:
    return next(one for one in bench.host.verdicts() if one.plugin_id == plugin_id)


def refusal_of(bench: Bench, tool_id: str) -> str:
    """The error that calls of this tool get, of the one plugin that had it."""
    [owner] = [one for one in bench.host.verdicts() if tool_id in one.tools]
    assert owner.plugin is None
    assert owner.refusal().details["sent"] is False
    return owner.refusal().id


def test_a_release_that_everything_agrees_on_takes_part(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    plugin = bench.host.plugin("acme-weather")
    assert (plugin.id, plugin.version, plugin.publisher_id) == ("acme-weather", "1.0.0", "acme")
    assert verdict(bench).tools == tuple(plugin.tools) == (TOOL,)
    assert plugin.tree == bench.tree(release)
    assert (plugin.tree / plugin.manifest_path).is_file()
    assert plugin.toplevel == "acme_weather"
    assert bench.host.enabled() == (plugin,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1.0.1"),
        ("publisher_id", "victim"),
        ("keyid", OTHER),
        ("wheel", "acme_weather-1.0.1-py3-none-any.whl"),
        ("manifest_sha256", OTHER),
        ("tools", {}),
        ("tools", {TOOL: OTHER}),
        ("tools", {TOOL: OTHER, "acme.more@v1": OTHER}),
    ],
)
def test_a_lock_that_says_otherwise_than_the_store_refuses(bench: Bench, field: str, value: Any) -> None:
    release = bench.install(forge.release(ACME))
    bench.decide(RegistryEntry(id="acme-weather", enabled=True), lock_entry(release, **{field: value}))
    assert verdict(bench).error_id in {"LOCK_MISMATCH", "TREE_MISMATCH"}
    assert verdict(bench).plugin is None


def test_a_lock_that_names_another_wheel_refuses(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    bench.decide(RegistryEntry(id="acme-weather", enabled=True), lock_entry(release, wheel_sha256=OTHER))
    assert bench.states() == {"acme-weather": "STORE_MISSING"}
    assert refusal_of(bench, TOOL) == "STORE_MISSING"


def test_a_lock_that_points_a_plugin_at_another_plugins_wheel_refuses(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    bench.install(forge.release(ACME, plugin_id="acme-moon"))
    bench.decide(RegistryEntry(id="acme-moon", enabled=True), lock_entry(release, id="acme-moon"))
    assert bench.states()["acme-moon"] in {"LOCK_MISMATCH", "TREE_MISMATCH"}
    assert bench.states()["acme-weather"] == "enabled"


def test_a_plugin_that_was_never_installed_is_refused_with_what_mends_it(bench: Bench) -> None:
    bench.refresh(registry=Registry(plugins=[RegistryEntry(id="acme-weather", enabled=True)]))
    assert verdict(bench).error_id == "LOCK_MISMATCH"
    assert "cloned plugin install acme-weather" in verdict(bench).refusal().repair


@pytest.mark.parametrize("file", ["registry", "lock"])
def test_a_plugin_that_stands_twice_is_refused(bench: Bench, file: str) -> None:
    bench.install(forge.release(ACME))
    entries = getattr(bench.inputs, file).plugins
    twice = (Registry if file == "registry" else Lock)(plugins=[*entries, *entries])
    bench.refresh(**{file: twice})
    assert bench.states() == {"acme-weather": "LOCK_MISMATCH"}


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        ("*", "enabled"),
        ("1.0.0", "enabled"),
        (">=1,<2", "enabled"),
        ("2.0.0", "LOCK_MISMATCH"),
        (">=2", "LOCK_MISMATCH"),
        ("newest", "FILE_INVALID"),
    ],
)
def test_the_locked_version_is_one_that_the_registry_wants(bench: Bench, wanted: str, state: str) -> None:
    release = bench.install(forge.release(ACME))
    bench.decide(RegistryEntry(id="acme-weather", enabled=True, version=wanted), lock_entry(release))
    assert bench.states() == {"acme-weather": state}


def test_grants_that_nobody_accepted_in_both_files_refuse(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    greedy = Grants(folders=["home"])
    bench.decide(RegistryEntry(id="acme-weather", enabled=True, grants=greedy), lock_entry(release))
    assert bench.states() == {"acme-weather": "LOCK_MISMATCH"}
    bench.decide(RegistryEntry(id="acme-weather", enabled=True), lock_entry(release, grants=greedy))
    assert bench.states() == {"acme-weather": "LOCK_MISMATCH"}


def test_granted_folders_are_those_that_have_an_accepted_place_here(bench: Bench, tmp_path: Path) -> None:
    release = bench.install(forge.release(ACME))
    grants = Grants(folders=["docs", "elsewhere"])
    bench.inputs = bench.inputs.__class__(
        bench.inputs.registry,
        bench.inputs.lock,
        bench.inputs.publishers,
        bench.inputs.revocations,
        {"acme-weather": {"docs": tmp_path, "never-granted": tmp_path}},
    )
    bench.decide(RegistryEntry(id="acme-weather", enabled=True, grants=grants), lock_entry(release, grants=grants))
    assert bench.host.plugin("acme-weather").folders == {"docs": tmp_path}


def test_a_disabled_plugin_is_not_even_read(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    bench.store.remove(release.wheel_sha256)
    bench.decide(RegistryEntry(id="acme-weather", enabled=False), lock_entry(release))
    assert verdict(bench).state == "disabled"
    assert refusal_of(bench, TOOL) == "PLUGIN_DISABLED"


def test_a_plugin_in_the_lock_alone_is_disabled(bench: Bench) -> None:
    bench.install(forge.release(ACME))
    bench.refresh(registry=Registry())
    assert verdict(bench).state == "disabled"


def test_an_unknown_plugin_is_a_user_mistake(bench: Bench) -> None:
    bench.refresh()
    for ask in (bench.host.plugin, bench.host.activate):
        with pytest.raises(ClonedError, match="PLUGIN_UNKNOWN"):
            ask("acme-weather")


@pytest.mark.parametrize(
    ("scope", "which", "action", "state"),
    [
        ("key", "keyid", "block-load", "KEY_REVOKED"),
        ("publisher", "publisher_id", "kill", "PUBLISHER_REVOKED"),
        ("release", "wheel_sha256", "kill", "REVOKED"),
        ("release", "wheel_sha256", "block-install", "enabled"),
        ("release", "wheel_sha256", "warn", "enabled"),
    ],
)
def test_revocations_are_looked_at_each_time(bench: Bench, scope: str, which: str, action: str, state: str) -> None:
    release = bench.install(forge.release(ACME))
    entry = {"scope": scope, "id": getattr(release, which), "reason": "malicious", "action": action}
    bench.refresh(revocations=Revocations.model_validate({"entries": [entry]}))
    assert bench.states() == {"acme-weather": state}
    bench.refresh(revocations=Revocations())
    assert bench.states() == {"acme-weather": "enabled"}


def test_a_publisher_that_is_no_longer_trusted_takes_its_plugins_along(bench: Bench) -> None:
    bench.install(forge.release(ACME))
    bench.refresh(publishers=[])
    assert bench.states() == {"acme-weather": "PUBLISHER_UNTRUSTED"}
    assert refusal_of(bench, TOOL) == "PUBLISHER_UNTRUSTED"
    limited = ACME.record.model_copy(update={"executions": ["data"]})
    bench.refresh(publishers=[limited])
    assert bench.states() == {"acme-weather": "EXECUTION_NOT_GRANTED"}


def test_a_plugin_for_other_hook_specs_is_refused(bench: Bench) -> None:
    bench.install(kernel_release(kernel_api=2))
    assert bench.states() == {"acme-mood": "KERNEL_API"}


def test_a_missing_library_is_named_with_the_command_that_installs_it(bench: Bench) -> None:
    bench.install(kernel_release(host_requires=["pluggy>=1", "no-such-library>=2,<3"]))
    found = verdict(bench, "acme-mood")
    assert found.error_id == "DEPENDENCY_MISSING"
    assert "no-such-library" in found.reason
    assert "pluggy" not in found.reason + found.repair
    assert sys.executable in found.repair
    assert "'no-such-library>=2,<3'" in found.repair
    bench.install(kernel_release(version="1.0.1", host_requires=["pluggy>=999"]))
    assert bench.states() == {"acme-mood": "DEPENDENCY_MISSING"}
    bench.install(kernel_release(version="1.0.2", host_requires=["pluggy>=1"]))
    assert bench.states() == {"acme-mood": "enabled"}


@pytest.mark.parametrize(
    "line", ["not a requirement!", "evil @ https://example.com/evil.whl", "evil; python_version > '3'"]
)
def test_a_requirement_that_is_not_a_range_is_refused(bench: Bench, line: str) -> None:
    bench.install(kernel_release(host_requires=[line]))
    assert bench.states() == {"acme-mood": "PLUGIN_LOAD"}


@pytest.mark.parametrize(
    ("settings", "state"), [({"unit": "km"}, "enabled"), ({}, "SETTINGS_INVALID"), ({"unit": 1}, "SETTINGS_INVALID")]
)
def test_settings_fit_the_schema_of_the_manifest(bench: Bench, settings: dict[str, Any], state: str) -> None:
    schema = {"type": "object", "properties": {"unit": TEXT}, "required": ["unit"]}
    release = bench.install(forge.release(ACME, manifest={"settings_schema": schema}))
    bench.decide(RegistryEntry(id="acme-weather", enabled=True, settings=settings), lock_entry(release))
    assert bench.states() == {"acme-weather": state}


def test_a_plugin_without_settings_takes_none(bench: Bench) -> None:
    release = bench.install(forge.release(ACME))
    bench.decide(RegistryEntry(id="acme-weather", enabled=True, settings={"unit": "km"}), lock_entry(release))
    assert bench.states() == {"acme-weather": "SETTINGS_INVALID"}


def test_a_second_claimant_of_a_tool_is_refused_and_the_first_stays(bench: Bench) -> None:
    bench.install(forge.release(ACME))
    second = forge.release(
        ACME, plugin_id="acme-zephyr", manifest={"tools": [claimed(TOOL), claimed("acme.zephyr@v1")]}
    )
    bench.install(second)
    assert bench.states() == {"acme-weather": "enabled", "acme-zephyr": "TOOL_ID_TAKEN"}
    assert verdict(bench).tools == (TOOL,)
    assert verdict(bench, "acme-zephyr").tools == ("acme.zephyr@v1",)
    assert refusal_of(bench, "acme.zephyr@v1") == "TOOL_ID_TAKEN"


def test_a_tool_of_the_kernel_cannot_be_claimed(bench: Bench) -> None:
    publisher = forge.publisher("cloned", namespaces=["cloned"])
    bench.inputs = bench.inputs.__class__(Registry(), Lock(), [publisher.record], Revocations())
    tool = claimed("cloned.internal.artifact.save@v1")
    release = forge.release(publisher, plugin_id="cloned-thief", manifest={"tools": [tool]})
    bench.install(release, publisher)
    assert bench.states() == {"cloned-thief": "TOOL_ID_TAKEN"}


def claimed(tool_id: str) -> dict[str, Any]:
    known = forge.default_manifest("acme-weather", "1.0.0", "acme")["tools"][0]
    return {**known, "id": tool_id}


@pytest.mark.parametrize(
    "contributes",
    [
        {"vault_providers": ["file"]},
        {"operations": ["acme.moods.list"]},
        {"checks": ["acme.mood"]},
        {"connectors": ["moods"]},
        {"commands": [{"path": ["mood"], "operation": "acme.moods.list", "help": "h", "example": "e"}]},
    ],
)
def test_a_second_claimant_of_a_contribution_is_refused(bench: Bench, contributes: dict[str, Any]) -> None:
    bench.install(kernel_release(plugin_id="acme-mood", contributes=contributes))
    bench.install(kernel_release(plugin_id="acme-temper", contributes=contributes))
    assert bench.states() == {"acme-mood": "enabled", "acme-temper": "CONTRIBUTION_TAKEN"}


def test_an_operation_outside_the_plugins_namespace_is_refused(bench: Bench) -> None:
    bench.install(kernel_release(contributes={"operations": ["plugin.install"]}))
    assert bench.states() == {"acme-mood": "NAMESPACE_NOT_OWNED"}


def test_one_refused_plugin_never_stops_the_others(bench: Bench) -> None:
    bench.install(kernel_release())
    broken = bench.install(forge.release(ACME))
    source = bench.tree(broken) / "acme_weather/worker.py"
    source.chmod(0o644)
    bench.refresh()
    assert bench.states() == {"acme-mood": "enabled", "acme-weather": "TREE_MISMATCH"}
    [(plugin_id, _)] = bench.host.ask("cloned_checks")
    assert plugin_id == "acme-mood"


def test_nothing_of_a_plugin_is_imported_to_judge_it(bench: Bench, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    song = forge.canary_source(canary).decode()
    release = bench.install(kernel_release(song + PLUGIN, files={"__init__.py": song}))
    bench.host.before_spawn(bench.host.plugin("acme-mood"))
    bench.host.ask("cloned_operations")
    bench.host.ask("cloned_skill_packs")
    assert bench.states() == {"acme-mood": "enabled"}
    assert judged(kernel_release()).plugin_id == release.plugin_id
    assert not canary.exists()
    bench.host.activate("acme-mood")
    assert canary.exists()  # the canary does sing, once the code is wanted
