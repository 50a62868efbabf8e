"""Real releases, really signed, judged and put into a real store; the plugin host over them as a workspace has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloned.host.judgement import Inputs, VerifiedPlugin
from cloned.host.lent import LentHost
from cloned.host.plugins import PluginHost
from cloned_schemas.registry import Grants, Lock, LockEntry, Registry, RegistryEntry
from cloned_schemas.trust import Revocations
from cloned_sdk.wire import tool_digest, tool_of
from cloned_storage.clock import SystemClock
from cloned_storage.store import Store
from cloned_trust.release import Release, judge_release
from tests.attacks import forge
from tests.attacks.forge import ForgedPublisher, ForgedRelease

ACME = forge.publisher("acme", executions=["data", "worker", "kernel"])

PLUGIN = """
from cloned_sdk import hookimpl
from cloned_sdk.host import CheckFinding, Check, InProcessTool, Operation


class Plugin:
    @hookimpl
    def cloned_checks(self, host):
        return [Check("acme.mood", lambda: [CheckFinding("acme.mood", "ok", host.plugin_id)])]


plugin = Plugin()
"""

KERNEL: dict[str, Any] = {
    "execution": "kernel",
    "isolation": "in_process",
    "entry": "python:acme_mood.plugin:plugin",
    "tools": [],
    "contributes": {"checks": ["acme.mood"]},
}


def judged(release: ForgedRelease, publisher: ForgedPublisher = ACME) -> Release:
    verdict = judge_release(
        wheel=release.wheel,
        wheel_name=release.wheel_name,
        signature=release.signature,
        publishers=[publisher.record],
        revocations=Revocations(),
    )
    assert verdict.release is not None, verdict.findings
    return verdict.release


def lock_entry(release: Release, **changes: Any) -> LockEntry:
    tools = {tool.id: tool_digest(tool_of(tool.model_dump(mode="json"))) for tool in release.manifest.tools}
    known = {
        "id": release.plugin_id,
        "version": release.version,
        "publisher_id": release.publisher_id,
        "keyid": release.keyid,
        "wheel": release.wheel_name,
        "wheel_sha256": release.wheel_sha256,
        "manifest_sha256": release.manifest_sha256,
        "tools": tools,
        "grants": Grants(),
    }
    return LockEntry.model_validate({**known, **changes})


@dataclass
class Bench:
    """A store and what a person decided; `host` is a plugin host over both, `refresh` lets it judge anew."""

    folder: Path
    store: Store
    host: PluginHost
    reported: list[tuple[str, str]]
    inputs: Inputs = field(default_factory=lambda: Inputs(Registry(), Lock(), [ACME.record], Revocations()))

    def install(self, release: ForgedRelease, publisher: ForgedPublisher = ACME) -> Release:
        """Judge a release, keep it, enable it, and let the host judge anew."""
        found = judged(release, publisher)
        self.store.put(found, release.signature or b"")
        self.decide(RegistryEntry(id=found.plugin_id, enabled=True), lock_entry(found))
        return found

    def decide(self, entry: RegistryEntry, locked: LockEntry) -> None:
        """A person's decision on one plugin, in place of an earlier one."""
        others = [one for one in self.inputs.registry.plugins if one.id != entry.id]
        locks = [one for one in self.inputs.lock.plugins if one.id != locked.id]
        self.refresh(registry=Registry(plugins=[*others, entry]), lock=Lock(plugins=[*locks, locked]))

    def refresh(self, **changes: Any) -> None:
        self.inputs = replace(self.inputs, **changes)
        self.host.refresh(self.inputs)

    def beside(self) -> "Bench":
        """Another host in this process, over the same store, as another workspace has it."""
        host = PluginHost(self.store, lambda plugin: lent(plugin, self.folder))
        return Bench(self.folder, self.store, host, [])

    def states(self) -> dict[str, str]:
        """What became of each plugin: its state, or the error id of its refusal."""
        return {one.plugin_id: one.error_id or one.state for one in self.host.verdicts()}

    def tree(self, release: Release) -> Path:
        return self.store.tree(release.wheel_sha256)


def lent(plugin: VerifiedPlugin, folder: Path) -> LentHost:
    """What a plugin is lent here: no database and no tools, which these plugins do not ask for."""
    return replace(holder(folder), plugin_id=plugin.id, settings=plugin.settings)


def holder(folder: Path) -> LentHost:
    """What the plugin acme-mood is lent, with its folders below `folder`."""
    nothing: Any = None
    run = folder / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    return LentHost("acme-mood", {}, nothing, nothing, SystemClock(), folder / "states", run, lambda *_: None, list)


def kernel_release(
    source: str = PLUGIN,
    *,
    plugin_id: str = "acme-mood",
    version: str = "1.0.0",
    files: Mapping[str, str] | None = None,
    **manifest: Any,
) -> ForgedRelease:
    """A kernel plugin whose module `plugin` is `source`; `files` are further members of its package."""
    package = plugin_id.replace("-", "_")
    content = {"__init__.py": "", "plugin.py": source, **(files or {})}
    return forge.release(
        ACME,
        plugin_id=plugin_id,
        version=version,
        files={f"{package}/{path}": text.encode() for path, text in content.items()},
        manifest={**KERNEL, "entry": f"python:{package}.plugin:plugin", **manifest},
    )
