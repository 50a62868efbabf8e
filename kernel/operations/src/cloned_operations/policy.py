"""Operations on policy: what is in force and where each part comes from; putting a pack in force."""

from typing import Any

import msgspec

from cloned.monitor.authority import resolve_policy
from cloned.monitor.policy import Policy
from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import Operation, PolicyPackSource
from cloned_storage import standing
from cloned_storage.files import dump_yaml


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Shown(msgspec.Struct, frozen=True):
    """The policy in force (`pack` null: the floor, which denies everything) and the packs that could be."""

    pack: str | None
    digest: str | None
    rules: dict[str, Any] | None
    overlay: dict[str, Any] | None
    available: list[dict[str, str]]


class ApplyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pack's id; without one, the overlay of the pack in force as it stands now is shown and accepted."""

    pack: str | None = None


class Applied(msgspec.Struct, frozen=True):
    """What is in force now."""

    pack: str
    digest: str
    changed: list[str]


def _show(context: Context, _: Nothing) -> Shown:
    workspace = context.workspace
    sources = workspace.policy_packs()
    available = [{"id": found.id, "plugin": found.plugin_id, "summary": found.summary} for found in sources]
    policy = workspace.authority.read_policy()
    if policy is None:
        return Shown(None, None, None, None, available)
    overlay = policy.overlay.model_dump(exclude_defaults=True) if policy.overlay else None
    return Shown(policy.pack.pack_id, policy.digest, policy.pack.model_dump(mode="json"), overlay, available)


def _apply(context: Context, wanted: ApplyInput) -> Applied:
    workspace = context.workspace
    found = workspace.proposed()
    ref = found.config.policy_pack_ref
    if wanted.pack is None and ref is None:
        raise UserMistake("POLICY_UNKNOWN", "no pack is in force; name one of those that 'cloned policy show' lists")
    source = _source(workspace.policy_packs(), wanted.pack or str(ref))
    new_ref = f"{source.plugin_id}:{source.id}"
    policy = resolve_policy(source, found.based_on.files.get(standing.overlay_name(new_ref)))
    if policy.pack.workspace_type != found.config.type:
        raise UserMistake(
            "POLICY_TYPE", f"{source.id} is for {policy.pack.workspace_type} workspaces, this is {found.config.type}"
        )
    differing = [changed.file for changed in found.based_on.differences]
    others = [name for name in differing if name != standing.overlay_name(new_ref)]
    if others:
        raise UserMistake(
            "FILE_INVALID", f"{', '.join(others)} changed too", repair="look at them first: 'cloned plugin sync'"
        )
    context.operator.confirm(f"put policy {source.id} in force", _facts(policy, source))
    files = {workspace.places.home / name: found.based_on.files.get(name) for name in differing}
    if new_ref != ref:
        data = found.config.model_copy(update={"policy_pack_ref": new_ref}).model_dump(exclude_defaults=True)
        files[workspace.places.config] = dump_yaml(data, found.based_on.files["config.yaml"])
    told = {"applied": new_ref, "digest": policy.digest}
    workspace.change("policy", context.actor, told, files, based_on=found.based_on)
    return Applied(source.id, policy.digest, [path.name for path in files])


def _source(sources: list[PolicyPackSource], pack: str) -> PolicyPackSource:
    found = [source for source in sources if pack in (source.id, f"{source.plugin_id}:{source.id}")]
    if len(found) > 1:
        who = " or ".join(f"{source.plugin_id}:{source.id}" for source in found)
        raise UserMistake("POLICY_UNKNOWN", f"several plugins ship the policy pack {pack!r}", repair=f"say {who}")
    if not found:
        raise UserMistake("POLICY_UNKNOWN", f"no enabled plugin ships the policy pack {pack!r}")
    return found[0]


def _facts(policy: Policy, source: PolicyPackSource) -> list[str]:
    pack = policy.pack
    facts = [f"from      {source.plugin_id} {source.plugin_version}: {pack.summary}"]
    facts += [f"budget    {name}: {rule.cap} a {rule.period}" for name, rule in policy.budgets.items()]
    for layer, rule in policy.approval_rules():
        match = ", ".join(f"{name} {value}" for name, value in rule.match.model_dump(exclude_none=True).items())
        facts.append(
            f"{'approval ' if rule.requires_approval else 'no asking'} {match}"
            + (" (overlay)" if layer == "overlay" else "")
        )
    facts += [
        f"denied    {pattern} ({layer})" for layer, pattern in [*policy.denied_tools(), *policy.denied_capabilities()]
    ]
    facts += _reach(policy) or ["network   nothing is reachable"]
    if policy.overlay:
        facts.append("overlay   " + msgspec.json.encode(policy.overlay.model_dump(exclude_defaults=True)).decode())
    return facts


def _reach(policy: Policy) -> list[str]:
    lists = [layer.allowlists for layer in (policy.overlay, policy.pack) if layer is not None]
    whose = [
        (who, hosts)
        for allow in lists
        for who, hosts in (*allow.egress_by_tool.items(), *allow.egress_by_connector.items())
    ]
    every = [("every tool", allow.egress_domains) for allow in lists]
    return [f"network   {who}: {', '.join(hosts)}" for who, hosts in (*whose, *every) if hosts]


SHOW = Operation("policy.show", "The policy in force, and the packs that could be", "read", Nothing, Shown, _show)
APPLY = Operation("policy.apply", "Show a policy pack and put it in force", "write", ApplyInput, Applied, _apply)
