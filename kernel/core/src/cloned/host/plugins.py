"""The plugin host: which plugins take part, their code loaded when it is first needed, each hook asked in isolation.

The loader and the dispatch of hooks are two of the walls where a broad except stands: whatever a plugin raises becomes
its own recorded fault, and the others go on. Trust has none: a doubt about a file refuses the plugin.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import Any

import pluggy

from cloned import hookspecs
from cloned.host.finder import VerifiedFinder
from cloned.host.judgement import Inputs, PluginVerdict, VerifiedPlugin, judge
from cloned_schemas.errors import ClonedError, PluginFault, TrustRefused, UserMistake, error_for
from cloned_schemas.manifest import Contribution, Manifest
from cloned_sdk import hookimpl
from cloned_sdk.host import (
    Check,
    Connector,
    Host,
    InProcessTool,
    Migration,
    Operation,
    PolicyPackSource,
    Refused,
    SkillPackSource,
    VaultProvider,
)
from cloned_storage.store import Store

__all__ = ["Inputs", "PluginHost", "PluginVerdict", "VerifiedPlugin"]
_VAULT = tuple(name for name in vars(VaultProvider) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class _Extension:
    """What a hook's answer holds: values of `kind`, whose `key` is what `declared` reads from a manifest."""

    kind: type[Any]
    key: str
    declared: Callable[[Manifest], Sequence[Any]]
    in_code: bool = True


_EXTENSIONS: Mapping[str, _Extension] = {
    "cloned_vault_providers": _Extension(VaultProvider, "name", lambda found: found.contributes.vault_providers),
    "cloned_operations": _Extension(Operation, "id", lambda found: found.contributes.operations),
    "cloned_tools": _Extension(InProcessTool, "tool_id", lambda found: [tool.id for tool in found.tools]),
    "cloned_migrations": _Extension(Migration, "revision", lambda found: [1] if found.contributes.migrations else []),
    "cloned_checks": _Extension(Check, "id", lambda found: found.contributes.checks),
    "cloned_policy_packs": _Extension(
        PolicyPackSource, "id", lambda found: [pack.id for pack in found.contributes.policy_packs], in_code=False
    ),
    "cloned_skill_packs": _Extension(
        SkillPackSource, "id", lambda found: [pack.id for pack in found.contributes.skill_packs], in_code=False
    ),
    "cloned_connectors": _Extension(
        Connector, "name", lambda found: found.contributes.connectors, in_code=False
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Adapter:
    """Answers for a plugin from its verified manifest, so that plugins without code are asked like all others."""

    plugin: VerifiedPlugin

    @hookimpl
    def cloned_policy_packs(self) -> list[PolicyPackSource]:
        packs = self.plugin.manifest.contributes.policy_packs
        return [PolicyPackSource(*self._of(pack), pack.summary, self.plugin.read(pack.path)) for pack in packs]

    @hookimpl
    def cloned_skill_packs(self) -> list[SkillPackSource]:
        packs = self.plugin.manifest.contributes.skill_packs
        return [SkillPackSource(*self._of(pack), self.plugin.read(pack.path)) for pack in packs]

    @hookimpl
    def cloned_connectors(self) -> list[Connector]:
        names = self.plugin.manifest.contributes.connectors
        return [Connector(self.plugin.id, name, tuple(self.plugin.tools)) for name in names]

    def _of(self, pack: Contribution) -> tuple[str, str, str]:
        return self.plugin.id, self.plugin.version, pack.id


@dataclass(slots=True)
class _Live:
    """A plugin that takes part: its hooks, and what they answered.

    Each has a manager of its own, so that no hook wrapper of one plugin can touch what another answers.
    """

    plugin: VerifiedPlugin
    hooks: pluggy.PluginManager
    answers: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)
    loaded: bool = False
    lent: Host | None = None


def _ignore(_plugin_id: str, _fault: ClonedError) -> None:
    """Nobody listens; who asks one plugin alone still gets its fault."""


class PluginHost:
    """One for each open workspace; safe to call from any thread. Holds no lock of its own while plugin code runs.

    `lend` makes what a plugin is lent, when its code is first asked; `reserved` are the kernel's own tool ids; `report`
    hears of each fault. `refresh` comes first.
    """

    def __init__(
        self,
        store: Store,
        lend: Callable[[VerifiedPlugin], Host],
        *,
        reserved: Sequence[str] = (),
        report: Callable[[str, ClonedError], None] = _ignore,
    ) -> None:
        self._store, self._lend, self._reserved, self._report = store, lend, tuple(reserved), report
        self._finder = VerifiedFinder()
        self._state = threading.Lock()
        self._verdicts: dict[str, PluginVerdict] = {}
        self._live: dict[str, _Live] = {}

    def refresh(self, inputs: Inputs) -> None:
        """Judge every plugin on what people accepted now. Code of plugins that are refused or replaced is let go."""
        verdicts = self.judged(inputs)
        with self._state:
            self._verdicts = {verdict.plugin_id: verdict for verdict in verdicts}
            for plugin_id, live in list(self._live.items()):
                plugin = self._verdicts[plugin_id].plugin if plugin_id in self._verdicts else None
                if plugin == live.plugin:
                    live.plugin = plugin
                else:
                    self._let_go(live, plugin)

    def judged(self, inputs: Inputs) -> tuple[PluginVerdict, ...]:
        """What would become of each plugin if this were accepted; changes nothing."""
        return judge(inputs, self._store, reserved=self._reserved, shadow=self._finder.shadow)

    def verdicts(self) -> tuple[PluginVerdict, ...]:
        """What became of each plugin that registry or lock name, sorted by id."""
        return tuple(self._verdicts.values())

    def enabled(self) -> tuple[VerifiedPlugin, ...]:
        """The plugins that take part, sorted by id."""
        return tuple(found.plugin for found in self._verdicts.values() if found.plugin is not None)

    def plugin(self, plugin_id: str) -> VerifiedPlugin:
        """A plugin that takes part. Raises PLUGIN_UNKNOWN, PLUGIN_DISABLED, or why it is refused."""
        found = self._verdicts.get(plugin_id)
        if found is None:
            fact = f"there is no plugin {plugin_id} in this workspace"
            raise UserMistake("PLUGIN_UNKNOWN", fact, details={"sent": False})
        if found.plugin is None:
            raise found.refusal()
        return found.plugin

    def before_spawn(self, plugin: VerifiedPlugin) -> None:
        """Pass if every file lies as it was verified; what moved is hashed again. Raises TREE_MISMATCH, STORE_*."""
        try:
            differing = set(self._store.entries(plugin.wheel_sha256)) ^ set(plugin.entries)
        except ClonedError as error:
            raise _unsent(error) from error
        if differing:
            fact = f"{plugin.id}: {min(entry.path for entry in differing)} was changed after it was verified"
            raise TrustRefused("TREE_MISMATCH", fact, details={"sent": False})

    def activate(self, plugin_id: str) -> None:
        """Import a kernel plugin's code, if it is not. Raises what `plugin` raises, TrustRefused, and PluginFault."""
        live = self._living(self.plugin(plugin_id))
        with live.lock:
            self._load(live)

    def ask(self, hook: str, plugin_id: str | None = None) -> list[tuple[str, tuple[Any, ...]]]:
        """What plugins answer to a hook: (plugin id, values) of each that declares something for it, sorted by id.

        With `plugin_id` that plugin alone is asked, and its fault is raised (`details["sent"]` is False: nothing of a
        call was carried out). Else a faulty plugin is left out. Every fault is reported.
        """
        extension = _EXTENSIONS[hook]
        answers = []
        for plugin in self.enabled() if plugin_id is None else [self.plugin(plugin_id)]:
            coded = plugin.manifest.execution == "kernel"
            if not extension.declared(plugin.manifest) or (extension.in_code and not coded):
                continue
            try:
                answers.append((plugin.id, self._answer(self._living(plugin), hook)))
            except ClonedError as fault:
                self._report(plugin.id, fault)
                if plugin_id is not None:
                    raise _unsent(fault) from fault
        return answers

    def close(self) -> None:
        """Let go of all plugin code, and leave Python's import system as it was found."""
        with self._state:
            self._live.clear()
            self._finder.close()

    def _let_go(self, live: _Live, now: VerifiedPlugin | None) -> None:
        del self._live[live.plugin.id]
        if now is None or now.wheel_sha256 != live.plugin.wheel_sha256:
            self._finder.disown(live.plugin.toplevel)

    def _living(self, plugin: VerifiedPlugin) -> _Live:
        with self._state:
            live = self._live.get(plugin.id)
            if live is None or live.plugin is not plugin:
                live = self._live[plugin.id] = _Live(plugin, _manager(plugin))
            return live

    def _answer(self, live: _Live, hook: str) -> tuple[Any, ...]:
        if not _EXTENSIONS[hook].in_code:  # without the lock: whoever holds it may be plugin code that asks for this
            return live.answers.get(hook) or live.answers.setdefault(hook, self._dispatch(live, hook))
        with live.lock:
            if hook not in live.answers:
                self._load(live)
                live.answers[hook] = self._dispatch(live, hook)
            return live.answers[hook]

    def _load(self, live: _Live) -> None:
        if live.loaded:
            return
        plugin = live.plugin
        self._finder.own(plugin)
        try:
            live.hooks = _registered(plugin)
        except ClonedError:
            self._finder.disown(plugin.toplevel)
            raise
        except (Exception, SystemExit) as error:  # the wall: plugin code may raise anything
            self._finder.disown(plugin.toplevel)
            raise _fault("PLUGIN_LOAD", plugin, f"cannot be loaded: {type(error).__name__}: {error}") from error
        live.loaded = True

    def _dispatch(self, live: _Live, hook: str) -> tuple[Any, ...]:
        plugin, caller = live.plugin, getattr(live.hooks.hook, hook)
        arguments: dict[str, Any] = {}
        if "host" in caller.spec.argnames:
            live.lent = live.lent or self._lend(plugin)
            arguments["host"] = live.lent
        try:
            return _fitting(plugin, hook, caller(**arguments))
        except ClonedError:
            raise
        except Refused as refusal:
            raise _refused(plugin, hook, refusal) from refusal
        except (Exception, SystemExit) as error:  # the wall: plugin code may raise anything
            raise _fault("PLUGIN_RAISED", plugin, f"raised {type(error).__name__} in {hook}") from error


def _manager(plugin: VerifiedPlugin) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("cloned")
    manager.add_hookspecs(hookspecs)
    manager.register(_Adapter(plugin), name=f"manifest of {plugin.id}")
    return manager


def _registered(plugin: VerifiedPlugin) -> pluggy.PluginManager:
    """Import the plugin's entry and register it. Raises PluginFault, and anything that the plugin's code raises."""
    module, _, name = str(plugin.manifest.entry).removeprefix("python:").partition(":")
    if module.partition(".")[0] != plugin.toplevel:
        raise _fault("PLUGIN_LOAD", plugin, f"names an entry outside {plugin.toplevel}")
    manager = _manager(plugin)
    found = vars(import_module(module)).get(name)
    if found is None:
        raise _fault("PLUGIN_LOAD", plugin, f"has no {name} in {module}")
    try:
        manager.register(found, name=plugin.id)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _fault("PLUGIN_HOOK", plugin, f"implements a hook otherwise than it is specified: {error}") from error
    for hook, extension in _EXTENSIONS.items():
        if not extension.in_code and len(getattr(manager.hook, hook).get_hookimpls()) > 1:
            raise _fault("PLUGIN_HOOK", plugin, f"implements {hook}, which its manifest answers")
    return manager


def _fitting(plugin: VerifiedPlugin, hook: str, answers: Sequence[Any]) -> tuple[Any, ...]:
    """The values of the one answer, if they are of the hook's type and exactly what the manifest declares."""
    extension = _EXTENSIONS[hook]
    values = answers[0] if len(answers) == 1 else None
    if not isinstance(values, list | tuple) or not all(_is(value, extension.kind) for value in values):
        raise _fault("PLUGIN_HOOK", plugin, f"does not answer {hook} with a list of {extension.kind.__name__}")
    keys = [attrgetter(extension.key)(value) for value in values]
    declared = list(extension.declared(plugin.manifest))
    if hook == "cloned_migrations":
        declared = list(range(1, max(len(keys), 1) + 1))  # a manifest says that there are some, not how many
    if sorted(keys) != sorted(declared):
        raise _fault("PLUGIN_HOOK", plugin, f"answers {hook} with {keys}; its manifest declares {declared}")
    return tuple(values)


def _is(value: object, kind: type[Any]) -> bool:
    if kind is VaultProvider:
        return all(hasattr(value, name) for name in _VAULT)
    return isinstance(value, kind)


def _refused(plugin: VerifiedPlugin, hook: str, refusal: Refused) -> ClonedError:
    details = {**refusal.details, "plugin_id": plugin.id}
    try:
        return error_for(refusal.error_id, f"{plugin.id}: {refusal.fact}", repair=refusal.repair, details=details)
    except LookupError:
        return _fault("PLUGIN_RAISED", plugin, f"refused {hook} with the unknown id {refusal.error_id!r}")


def _unsent(error: ClonedError) -> ClonedError:
    """The same error, telling a call that waits for it that nothing of it was carried out."""
    return error_for(error.id, error.fact, repair=error.repair, details={**error.details, "sent": False})


def _fault(error_id: str, plugin: VerifiedPlugin, what: str) -> PluginFault:
    return PluginFault(error_id, f"{plugin.id} {what}", details={"plugin_id": plugin.id})
