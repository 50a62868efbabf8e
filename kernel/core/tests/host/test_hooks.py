"""Hooks: asked of those that declare something, in isolation, and held to what the manifest says."""

import sys
from pathlib import Path

import pluggy
import pytest

from cloned import hookspecs
from cloned.host import plugins
from cloned_schemas.errors import ClonedError, PluginFault
from cloned_schemas.registry import RegistryEntry
from kernel.core.tests.host.bench import ACME, Bench, kernel_release, lock_entry
from tests.attacks import forge

HEAD = "import sys\nfrom cloned_sdk import hookimpl\nfrom cloned_sdk.host import *\n\n\nclass Plugin:\n"
TAIL = "\n\nplugin = Plugin()\n"
GOOD_CHECK = "return [Check('acme.bad', list)]"


def checks(body: str, more: str = "") -> str:
    """A plugin whose `cloned_checks` has this body."""
    return f"{HEAD}    @hookimpl\n    def cloned_checks(self, host):\n        {body}\n{more}{TAIL}"


def asked_and_faulty(bench: Bench, source: str) -> str:
    """Ask a plugin with this source beside an honest one; the id of its fault, which stops nobody else."""
    bench.install(kernel_release(source, plugin_id="acme-bad", contributes={"checks": ["acme.bad"]}))
    bench.install(kernel_release())
    answered = [plugin_id for plugin_id, _ in bench.host.ask("cloned_checks")]
    assert answered == ["acme-mood"]
    [(plugin_id, error_id)] = bench.reported
    assert plugin_id == "acme-bad"
    with pytest.raises(PluginFault) as alone:
        bench.host.ask("cloned_checks", "acme-bad")
    assert alone.value.id == error_id
    assert alone.value.details["sent"] is False
    assert bench.states() == {"acme-bad": "enabled", "acme-mood": "enabled"}
    return error_id


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('no')",
        "raise KeyboardInterrupt.__base__ and SystemExit(3)",
        "sys.exit()",
        "return 1 / 0",
        "raise Refused('NO_SUCH_ERROR', 'no')",
    ],
)
def test_a_hook_that_raises_is_its_plugins_fault_alone(bench: Bench, body: str) -> None:
    assert asked_and_faulty(bench, checks(body)) == "PLUGIN_RAISED"


@pytest.mark.parametrize(
    "body",
    [
        "return None",
        "return 7",
        "return {'acme.bad': list}",
        "return ['acme.bad']",
        "return [Operation('acme.bad', 's', 'read', dict, dict, print)]",
        "return []",
        "return [Check('acme.other', list)]",
        "return [Check('acme.bad', list), Check('acme.bad', list)]",
        "return [Check('acme.bad', list), Check('acme.more', list)]",
        "return [Check(7, list)]",
        "return (check for check in [Check('acme.bad', list)])",
    ],
)
def test_an_answer_that_is_not_what_the_manifest_declares_is_refused(bench: Bench, body: str) -> None:
    assert asked_and_faulty(bench, checks(body)) in {"PLUGIN_HOOK", "PLUGIN_RAISED"}


@pytest.mark.parametrize(
    ("source", "error_id"),
    [
        ("import no_such_module", "PLUGIN_LOAD"),
        ("def (", "PLUGIN_LOAD"),
        ("raise RuntimeError('at import')", "PLUGIN_LOAD"),
        ("import sys; sys.exit(1)", "PLUGIN_LOAD"),
        ("other = 1", "PLUGIN_LOAD"),
        ("plugin = object()", "PLUGIN_HOOK"),
        (checks(GOOD_CHECK).replace("self, host", "self, kernel"), "PLUGIN_HOOK"),
        (checks(GOOD_CHECK).replace("cloned_checks", "cloned_no_such_hook"), "PLUGIN_HOOK"),
        (checks(GOOD_CHECK, "\n    @hookimpl\n    def cloned_new_hook(self):\n        return []\n"), "PLUGIN_HOOK"),
        (checks(GOOD_CHECK, "\n    @hookimpl\n    def cloned_skill_packs(self):\n        return []\n"), "PLUGIN_HOOK"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_named_and_stops_nobody(bench: Bench, source: str, error_id: str) -> None:
    assert asked_and_faulty(bench, source) == error_id


def test_a_plugins_own_refusal_keeps_its_family(bench: Bench) -> None:
    body = "raise Refused('VAULT_UNREACHABLE', 'it sleeps', repair='wake it', details={'since': 'noon'})"
    bench.install(kernel_release(checks(body)))
    with pytest.raises(ClonedError) as caught:
        bench.host.ask("cloned_checks", "acme-mood")
    assert (caught.value.id, caught.value.repair) == ("VAULT_UNREACHABLE", "wake it")
    assert caught.value.details["since"] == "noon"


def test_a_plugin_that_declares_nothing_for_a_hook_is_not_loaded_for_it(bench: Bench) -> None:
    bench.install(kernel_release("raise RuntimeError('loaded')"))
    for hook in set(plugins._EXTENSIONS) - {"cloned_checks"}:
        assert bench.host.ask(hook) == []
        assert bench.host.ask(hook, "acme-mood") == []
    assert bench.reported == []


def test_the_code_of_a_worker_plugin_is_never_asked(bench: Bench, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    contributes = {"checks": ["acme.sky"], "operations": ["acme.sky"], "vault_providers": ["sky"], "migrations": True}
    bench.install(forge.release(ACME, canary=canary, manifest={"contributes": contributes}))
    for hook in ("cloned_checks", "cloned_operations", "cloned_tools", "cloned_vault_providers", "cloned_migrations"):
        assert bench.host.ask(hook) == []
    assert not canary.exists()


def test_a_hook_is_asked_once_for_each_accepted_state(bench: Bench) -> None:
    source = checks("Plugin.asked = getattr(Plugin, 'asked', 0) + 1; return [Check('acme.mood', list)]")
    release = bench.install(kernel_release(source))
    first = bench.host.ask("cloned_checks")
    bench.refresh()
    assert bench.host.ask("cloned_checks") == first
    assert sys.modules["acme_mood.plugin"].Plugin.asked == 1
    bench.decide(RegistryEntry(id="acme-mood"), lock_entry(release))
    assert bench.host.ask("cloned_checks") == []


def test_one_plugins_hook_wrapper_does_not_touch_anothers_answer(bench: Bench) -> None:
    wrapper = (
        HEAD
        + ("    @hookimpl(wrapper=True)\n    def cloned_checks(self, host):\n        yield\n        return [7]\n")
        + TAIL
    )
    assert asked_and_faulty(bench, wrapper) == "PLUGIN_HOOK"


def test_data_and_worker_plugins_are_answered_for_from_their_manifest(bench: Bench) -> None:
    contributes = {
        "connectors": ["weather"],
        "policy_packs": [{"id": "calm", "path": "acme_weather/calm.yaml", "summary": "Calm"}],
        "skill_packs": [{"id": "acme.sky", "path": "acme_weather/sky.yaml", "summary": "Sky"}],
    }
    files = {
        **forge.default_files("acme_weather"),
        "acme_weather/calm.yaml": b"calm: true\n",
        "acme_weather/sky.yaml": b"sky: blue\n",
    }
    release = bench.install(forge.release(ACME, files=files, manifest={"contributes": contributes}))
    [(_, (policy,))] = bench.host.ask("cloned_policy_packs")
    [(_, (skill,))] = bench.host.ask("cloned_skill_packs")
    [(_, (connector,))] = bench.host.ask("cloned_connectors")
    assert (policy.plugin_id, policy.plugin_version, policy.id, policy.summary, policy.data) == (
        "acme-weather",
        "1.0.0",
        "calm",
        "Calm",
        b"calm: true\n",
    )
    assert (skill.id, skill.data) == ("acme.sky", b"sky: blue\n")
    assert (connector.name, connector.tools) == ("weather", ("acme.weather.today@v1",))
    place = bench.tree(release) / "acme_weather/calm.yaml"
    place.chmod(0o644)
    place.write_bytes(b"calm: false")
    plugin = bench.host.plugin("acme-weather")
    with pytest.raises(ClonedError, match="TREE_MISMATCH"):
        plugin.read("acme_weather/calm.yaml")


def test_every_hook_that_is_specified_can_be_asked_and_no_other() -> None:
    manager = pluggy.PluginManager("cloned")
    manager.add_hookspecs(hookspecs)
    specified = {name for name in vars(hookspecs) if name.startswith("cloned_")}
    assert specified == set(plugins._EXTENSIONS)
    assert specified == {name for name in vars(manager.hook) if not name.startswith("_")}
    for name in specified:
        assert getattr(hookspecs, name).__doc__


MIGRATIONS = HEAD + "    @hookimpl\n    def cloned_migrations(self):\n        return [{}]\n" + TAIL


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("Migration(1, print), Migration(2, print)", True),
        ("Migration(2, print), Migration(1, print)", True),
        ("Migration(1, print), Migration(3, print)", False),
        ("Migration(1, print), Migration(1, print)", False),
        ("", False),
    ],
)
def test_migrations_count_from_one_without_a_gap(bench: Bench, answer: str, fits: bool) -> None:
    bench.install(kernel_release(MIGRATIONS.format(answer), contributes={"migrations": True}))
    assert bool(bench.host.ask("cloned_migrations")) is fits
    assert bench.reported == ([] if fits else [("acme-mood", "PLUGIN_HOOK")])


VAULT = (
    HEAD
    + (
        "    name = 'quiet'\n    status = names = read = write = remove = print\n"
        "    @hookimpl\n    def cloned_vault_providers(self, host):\n        return [{}]\n"
    )
    + TAIL
)


@pytest.mark.parametrize(("answer", "fits"), [("self", True), ("object()", False)])
def test_a_vault_provider_has_what_the_protocol_says(bench: Bench, answer: str, fits: bool) -> None:
    bench.install(kernel_release(VAULT.format(answer), contributes={"vault_providers": ["quiet"]}))
    assert bool(bench.host.ask("cloned_vault_providers")) is fits
