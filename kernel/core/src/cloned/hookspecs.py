"""Every extension point, in one file: what a plugin can add to Cloned, and what each answer has to be.

A plugin of execution `kernel` names one object as its manifest's `entry` (`python:acme_weather.plugin:plugin`), whose
methods it marks with `cloned_sdk.hookimpl`. Data and worker plugins run no code here: what they contribute stands in
their verified manifest, and the host answers for them.

Rules for every hook: it is asked only of plugins whose manifest declares something for it, once for each process and
accepted state (the answer is kept); it returns a list or tuple of frozen values of `cloned_sdk.host`, whose ids are
exactly those that the manifest declares; order means nothing. A hook that raises or answers otherwise is its plugin's
fault and is recorded as that; the others go on. No hook may do the work itself: it hands over what will.
"""

from collections.abc import Sequence

import pluggy

from cloned_sdk.host import (
    Check,
    Connector,
    Host,
    InProcessTool,
    Migration,
    Operation,
    PolicyPackSource,
    SkillPackSource,
    VaultProvider,
)

KERNEL_API = 1
"""Counts the changes of this file; a manifest's `kernel_api` says for which it was written."""

hookspec = pluggy.HookspecMarker("cloned")


@hookspec
def cloned_vault_providers(host: Host) -> Sequence[VaultProvider]:  # type: ignore[empty-body]
    """Offer ways to keep secrets; `vault.provider` in config.yaml chooses one by name.

    Asked when a secret is first needed. Declared by `contributes.vault_providers` (names).
    """


@hookspec
def cloned_operations(host: Host) -> Sequence[Operation]:  # type: ignore[empty-body]
    """Offer operations: what a command, a route or an administration tool carries out.

    Asked when one of them is first run. Declared by `contributes.operations` (ids, in the plugin's namespace).
    """


@hookspec
def cloned_tools(host: Host) -> Sequence[InProcessTool]:  # type: ignore[empty-body]
    """Hand over the handlers of the manifest's tools, which run in Cloned's own process.

    Asked at the first call of one of them. Declared by `tools`; the monitor judges each call before a handler sees it.
    """


@hookspec
def cloned_migrations() -> Sequence[Migration]:  # type: ignore[empty-body]
    """Tell the history of the plugin's own tables (`<package>__<name>`), as revisions 1, 2, 3 without a gap.

    Asked when the plugin is enabled or upgraded, before anything else of it runs. Declared by `contributes.migrations`.
    """


@hookspec
def cloned_checks(host: Host) -> Sequence[Check]:  # type: ignore[empty-body]
    """Add checks to `cloned doctor`. Asked by it alone. Declared by `contributes.checks` (ids)."""


@hookspec
def cloned_policy_packs() -> Sequence[PolicyPackSource]:  # type: ignore[empty-body]
    """The policy packs in `contributes.policy_packs`. The host answers from the manifest; code that does is refused."""


@hookspec
def cloned_skill_packs() -> Sequence[SkillPackSource]:  # type: ignore[empty-body]
    """The skill packs in `contributes.skill_packs`. The host answers from the manifest; code that does is refused."""


@hookspec
def cloned_connectors() -> Sequence[Connector]:  # type: ignore[empty-body]
    """The connectors in `contributes.connectors`. The host answers from the manifest; code that does is refused."""
