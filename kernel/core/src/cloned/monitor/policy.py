"""Whether policy and a run's constitution let a call happen, and whether a person must be asked. Pure.

Denial always wins; an empty allowlist of tools, capabilities or publishers narrows nothing; without a pack the floor
denies everything.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloned.monitor.egress import parse_rule
from cloned_schemas.errors import PolicyDenied, UserMistake
from cloned_schemas.policy import ApprovalRule, BudgetRule, Match, PolicyOverlay, PolicyPack
from cloned_schemas.tool import Tool
from cloned_sdk.host import Constitution, JsonObject


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """The policy rule that decided something, as the audit shows it."""

    layer: str
    rule: JsonObject


@dataclass(frozen=True, slots=True)
class Policy:
    """A pack with the workspace's overlay on it; `digest` changes with either."""

    pack: PolicyPack
    overlay: PolicyOverlay | None
    digest: str

    @property
    def budgets(self) -> Mapping[str, BudgetRule]:
        """The cap of each category; the overlay's stand before the pack's."""
        return {**self.pack.budgets, **(self.overlay.budgets if self.overlay else {})}

    def denied_tools(self) -> list[tuple[str, str]]:
        """(layer, pattern) of every denied tool."""
        return self._both(lambda layer: layer.denylists.tools)

    def denied_capabilities(self) -> list[tuple[str, str]]:
        """(layer, capability) of every denied capability."""
        return self._both(lambda layer: layer.denylists.capabilities)

    def egress_layers(self, tool_id: str, plugin_id: str) -> list[tuple[str, Sequence[str]]]:
        """Where to look a host up, in order: by tool, then by connector, then everywhere."""
        lists = [(name, layer.allowlists) for name, layer in self._layers()]
        return [
            *((f"{name} egress_by_tool", allow.egress_by_tool.get(tool_id, [])) for name, allow in lists),
            *((f"{name} egress_by_connector", allow.egress_by_connector.get(plugin_id, [])) for name, allow in lists),
            *((f"{name} egress_domains", allow.egress_domains) for name, allow in lists),
        ]

    def approval_rules(self) -> list[tuple[str, ApprovalRule]]:
        """(layer, rule), the overlay's first: the first that matches decides."""
        layers: list[tuple[str, Sequence[ApprovalRule]]] = [("pack", self.pack.approvals.rules)]
        if self.overlay and self.overlay.approvals:
            layers.insert(0, ("overlay", self.overlay.approvals.rules))
        return [(name, rule) for name, rules in layers for rule in rules]

    def _layers(self) -> list[tuple[str, PolicyPack | PolicyOverlay]]:
        return [*([("overlay", self.overlay)] if self.overlay else []), ("pack", self.pack)]

    def _both(self, pick: Callable[[PolicyPack | PolicyOverlay], Sequence[str]]) -> list[tuple[str, str]]:
        return [(name, entry) for name, layer in self._layers() for entry in pick(layer)]


def refuse_unusable(policy: Policy) -> None:
    """Raise UserMistake EGRESS_RULE for a rule that is too wide, FILE_INVALID for what nothing enforces yet."""
    pack = policy.pack
    promised = {name: getattr(pack, name) for name in ("separation_of_duties", "native", "retention")}
    promised |= {"taint": pack.taint != "off", "publishers_min": pack.publishers_min != "none"}
    promised["approvers"] = any(rule.approvers for _, rule in policy.approval_rules())
    if unkept := sorted(name for name, value in promised.items() if value):
        fact = f"policy {pack.pack_id} asks for {', '.join(unkept)}, which nothing enforces yet"
        raise UserMistake("FILE_INVALID", fact)
    if policy.overlay is not None and policy.overlay.pack_id != pack.pack_id:
        raise UserMistake("FILE_INVALID", f"the overlay of {pack.pack_id} says that it is for {policy.overlay.pack_id}")
    for layer in (policy.pack, policy.overlay):
        if layer is None:
            continue
        lists = layer.allowlists
        for rules in (lists.egress_domains, *lists.egress_by_connector.values(), *lists.egress_by_tool.values()):
            for rule in rules:
                parse_rule(rule)


def matches(pattern: str, tool_id: str) -> bool:
    """Whether a tool id, or `prefix.*`, names this tool."""
    return tool_id.startswith(pattern[:-1]) if pattern.endswith(".*") else tool_id == pattern


def _first(patterns: Iterable[str], tool_id: str) -> str | None:
    return next((pattern for pattern in patterns if matches(pattern, tool_id)), None)


def permit(
    policy: Policy | None, tool: Tool, publisher: str | None, granted: Sequence[str]
) -> tuple[Policy, MatchedRule]:
    """The policy in force and its rule that lets the call pass; raises PolicyDenied with the one that does not.

    `publisher` is None for the kernel's own tools, which no publisher allowlist is about.
    """
    if policy is None:
        raise PolicyDenied("POLICY_FLOOR", f"no policy pack is in force, so {tool.id} may not run")
    for layer, pattern in policy.denied_tools():
        if matches(pattern, tool.id):
            raise PolicyDenied("POLICY_TOOL_DENIED", f"{tool.id} is denied by {pattern} in the {layer}'s denylist")
    for layer, capability in policy.denied_capabilities():
        if capability in (tool.capability, *tool.permissions_required):
            raise PolicyDenied("POLICY_TOOL_DENIED", f"{tool.id}: capability {capability} is denied by the {layer}")
    for needed in tool.permissions_required:
        if needed not in granted:
            raise PolicyDenied("CAPABILITY_NOT_GRANTED", f"{tool.id} needs {needed}, which its plugin was not granted")
    return policy, _allowed(policy, tool, publisher)


def _allowed(policy: Policy, tool: Tool, publisher: str | None) -> MatchedRule:
    lists = policy.pack.allowlists
    more = policy.overlay.allowlists if policy.overlay else None
    tools = [*lists.tools, *(more.tools if more else [])]
    capabilities = [*lists.capabilities, *(more.capabilities if more else [])]
    publishers = [*lists.publishers, *(more.publishers if more else [])]
    if tools and _first(tools, tool.id) is None:
        raise PolicyDenied("POLICY_NOT_ALLOWED", f"{tool.id} is not on the allowlist of tools")
    if capabilities and tool.capability not in capabilities:
        raise PolicyDenied("POLICY_NOT_ALLOWED", f"{tool.id}: capability {tool.capability} is not on the allowlist")
    if publishers and publisher is not None and publisher not in publishers:
        raise PolicyDenied("POLICY_NOT_ALLOWED", f"{tool.id}: publisher {publisher} is not on the allowlist")
    named = _first(tools, tool.id)
    return MatchedRule(policy.pack.pack_id, {"allowed_by": named or "no allowlist narrows this"})


def within_constitution(constitution: Constitution | None, tool: Tool, sources: Sequence[str]) -> str | None:
    """The constitution's pattern that covers the tool (None: no constitution); raise PolicyDenied where none does."""
    if constitution is None:
        return None
    if (pattern := _first(constitution.denied_tools, tool.id)) is not None:
        raise PolicyDenied("CONSTITUTION_DENIED", f"{tool.id} is denied by {pattern} of the run's constitution")
    if (pattern := _first(constitution.allowed_tools, tool.id)) is None:
        raise PolicyDenied("CONSTITUTION_DENIED", f"{tool.id} is not among the tools of the run's constitution")
    for source in sources:
        if constitution.sources and source not in constitution.sources:
            raise PolicyDenied("SOURCE_DENIED", f"{source} is not among the sources of the run's constitution")
    return pattern


def sources_allowed(policy: Policy, sources: Sequence[str]) -> None:
    """Raise PolicyDenied SOURCE_DENIED for a source label that the pack does not list, where it lists any."""
    for source in sources:
        if policy.pack.sources and source not in policy.pack.sources:
            raise PolicyDenied("SOURCE_DENIED", f"{source} is not among the sources of policy {policy.pack.pack_id}")


def approvals_needed(policy: Policy, tool: Tool, constitution: Constitution | None) -> tuple[MatchedRule, ...]:
    """The rules by which a person must be asked: the pack's or overlay's, unknown cost, the constitution's gates."""
    found: list[MatchedRule] = []
    for layer, rule in policy.approval_rules():
        if _is_about(rule.match, tool):
            if rule.requires_approval:
                found.append(MatchedRule(layer, rule.model_dump(exclude_none=True)))
            break
    if tool.cost and tool.cost.estimator == "unknown":
        found.append(MatchedRule("kernel", {"match": {"cost": "unknown"}, "requires_approval": True}))
    gate = _first(constitution.gates, tool.id) if constitution else None
    if gate is not None:
        found.append(MatchedRule("constitution", {"match": {"tool_id": gate}, "requires_approval": True}))
    return tuple(found)


def _is_about(match: Match, tool: Tool) -> bool:
    return (
        (match.tool_id is None or matches(match.tool_id, tool.id))
        and (match.capability is None or match.capability == tool.capability)
        and (match.risk_level is None or match.risk_level == tool.risk_level)
        and (match.effect is None or match.effect == tool.effect)
        and (match.cost_category is None or (tool.cost is not None and match.cost_category == tool.cost.category))
    )
