"""What holds for every sequence and every rule: budgets stay within their caps, denial wins, a host is that host."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from cloned.monitor import budgets, egress, policy
from cloned.monitor.policy import Policy
from cloned.monitor.records import Reservation
from cloned_schemas.errors import PolicyDenied, UserMistake
from cloned_schemas.policy import BudgetRule, PolicyOverlay, PolicyPack
from cloned_schemas.tool import Cost, Tool
from cloned_storage.tables import budget_windows as windows
from cloned_storage.tables import metadata

START = datetime(2030, 1, 1, tzinfo=UTC)
CATEGORIES = ("storage", "api_requests", "tokens")
RULES: Mapping[str, BudgetRule] = {
    "storage": BudgetRule(period="hour", cap=7),
    "api_requests": BudgetRule(period="week", cap=3),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    made = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"isolation_level": None})
    sa.event.listen(made, "begin", lambda connection: connection.exec_driver_sql("begin"))
    metadata.create_all(made)
    yield made
    made.dispose()


takes = st.tuples(
    st.just("take"), st.dictionaries(st.sampled_from(CATEGORIES), st.integers(0, 9), min_size=1), st.integers(0, 400)
)
nothing: st.SearchStrategy[dict[str, int]] = st.builds(dict)
ends = st.tuples(st.sampled_from(["settle", "release"]), nothing, st.integers(0, 20))


@given(steps=st.lists(takes | ends, max_size=40))
def test_no_sequence_of_reserving_settling_and_releasing_leaves_the_cap(
    engine: sa.Engine, steps: Sequence[tuple[str, Mapping[str, int], int]]
) -> None:
    held: list[tuple[Reservation, ...]] = []
    now = START
    with engine.connect() as connection:
        for what, costs, number in steps:
            if what == "take":
                now += timedelta(minutes=number)
                before = _rows(connection)
                savepoint = connection.begin_nested()
                try:
                    held.append(budgets.reserve(connection, RULES, costs, now))
                    savepoint.commit()
                except PolicyDenied:
                    savepoint.rollback()
                    assert _rows(connection) == before
            elif held:
                budgets.settle(connection, held.pop(number % len(held)), counted=what == "settle")
            _within(connection)
        for reservations in held:
            budgets.settle(connection, reservations, counted=True)
        _within(connection)
        assert all(row.reserved == 0 for row in connection.execute(sa.select(windows)))
        connection.rollback()


def _rows(connection: sa.Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(sa.select(windows).order_by(*windows.primary_key))]


def _within(connection: sa.Connection) -> None:
    for row in connection.execute(sa.select(windows)):
        cap = RULES[row.category].cap if row.category in RULES else None
        assert row.used >= 0
        assert row.reserved >= 0
        assert cap is None or row.used + row.reserved <= cap


@given(count=st.integers(1, 10**9), amount=st.integers(0, 1000))
def test_a_whole_number_costs_the_same_in_both_ways_that_json_writes_it(count: int, amount: int) -> None:
    cost = Cost(category="tokens", estimator="per-unit", amount=amount, per="/n")
    assert (
        budgets.estimate(cost, {"n": float(count)})
        == budgets.estimate(cost, {"n": count})
        == {"tokens": amount * count}
    )


@pytest.mark.parametrize("count", [2**63, 2**64 - 1, 1e300, 10**18])
def test_more_than_can_be_counted_is_refused(count: float) -> None:
    with pytest.raises(UserMistake, match="INPUT_INVALID"):
        budgets.estimate(Cost(category="tokens", estimator="per-unit", per="/n"), {"n": count})


names = st.sampled_from(["acme", "acme.mail", "acme.mail.send", "other.mail"])
patterns = st.sampled_from(["acme.*", "acme.mail.*", "acme.mail.send@v1", "acme.mail.send@v2", "other.*"])
tool_ids = st.sampled_from(["acme.mail.send@v1", "acme.mail.send@v2", "acme.mailing.list@v1", "other.mail.read@v1"])
capabilities = st.sampled_from(["mail.send", "mail.read", "file.write"])


def made(tool_id: str, capability: str, needed: Sequence[str] = (), risk: str = "low", effect: str = "read") -> Tool:
    return Tool.model_validate(
        {
            "id": tool_id, "version": "1.0.0", "summary": "A tool", "input_schema": {"type": "object"},
            "output_schema": {"type": "object"}, "capability": capability, "risk_level": risk, "effect": effect,
            "permissions_required": list(needed),
        }
    )  # fmt: skip


tools = st.builds(
    made, tool_ids, capabilities, st.lists(capabilities, max_size=2, unique=True),
    st.sampled_from(["low", "medium", "high"]), st.sampled_from(["read", "write", "publish"]),
)  # fmt: skip
lists = st.fixed_dictionaries(
    {"tools": st.lists(patterns, max_size=2), "capabilities": st.lists(capabilities, max_size=2)}
)
approval_rules = st.lists(
    st.fixed_dictionaries(
        {
            "match": st.sampled_from([{"risk_level": "high"}, {"effect": "publish"}, {"tool_id": "acme.*"}]),
            "requires_approval": st.booleans(),
        }
    ),
    max_size=3,
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    pack = {
        "pack_id": "personal", "workspace_type": "personal", "version": "1.0.0", "summary": "x",
        "allowlists": draw(lists), "denylists": draw(lists), "approvals": {"rules": draw(approval_rules)},
    }  # fmt: skip
    overlay = None
    if draw(st.booleans()):
        rules = {"rules": draw(approval_rules)}
        given_ = {"pack_id": "personal", "allowlists": draw(lists), "denylists": draw(lists), "approvals": rules}
        overlay = PolicyOverlay.model_validate(given_)
    return Policy(PolicyPack.model_validate(pack), overlay, "0" * 64)


def passes(found: Policy, tool: Tool) -> bool:
    try:
        policy.permit(found, tool, "acme", tool.permissions_required)
    except PolicyDenied:
        return False
    return True


@given(found=policies(), tool=tools)
def test_denial_wins_over_every_allowlist(found: Policy, tool: Tool) -> None:
    denied = any(policy.matches(pattern, tool.id) for _, pattern in found.denied_tools())
    concerned = {tool.capability, *tool.permissions_required}
    denied = denied or any(capability in concerned for _, capability in found.denied_capabilities())
    assert not (denied and passes(found, tool))


@given(found=policies(), tool=tools, extra=lists, in_overlay=st.booleans())
def test_one_more_denial_never_allows_more(
    found: Policy, tool: Tool, extra: Mapping[str, list[str]], in_overlay: bool
) -> None:
    layer = found.overlay if in_overlay and found.overlay else found.pack
    grown = {name: [*getattr(layer.denylists, name), *entries] for name, entries in extra.items()}
    denying = layer.model_copy(update={"denylists": layer.denylists.model_copy(update=grown)})
    stricter = (
        Policy(denying, found.overlay, "1" * 64)
        if isinstance(denying, PolicyPack)
        else Policy(found.pack, denying, "1" * 64)
    )
    assert passes(found, tool) or not passes(stricter, tool)
    assert policy.approvals_needed(stricter, tool, None) == policy.approvals_needed(found, tool, None)


@given(found=policies(), tool=tools)
def test_a_tool_of_unknown_cost_asks_whatever_the_rules_spare(found: Policy, tool: Tool) -> None:
    unknown = tool.model_copy(update={"cost": Cost(category="tokens", estimator="unknown")})
    assert any(rule.layer == "kernel" for rule in policy.approvals_needed(found, unknown, None))


labels = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
hosts = st.lists(labels, min_size=2, max_size=4).map(".".join)


@given(rule=hosts, host=hosts)
def test_a_rule_for_a_host_covers_that_host_alone(rule: str, host: str) -> None:
    verdict = egress.judge([host], [("everywhere", [rule])])
    assert (verdict.denied is None) == (host == rule)


@given(
    rest=st.lists(labels, min_size=1, max_size=2).map(lambda parts: ".".join([*parts, "example", "com"])), host=hosts
)
def test_a_star_covers_exactly_one_label(rest: str, host: str) -> None:
    rule = [("everywhere", [f"*.{rest}"])]
    assert egress.judge([f"one.{rest}"], rule).denied is None
    for other in (rest, f"two.one.{rest}", f"x{rest}", host):
        covered = other.partition(".")[2] == rest
        assert (egress.judge([other], rule).denied is None) == covered


@given(host=hosts, style=st.sampled_from(["{}.", "{}", " {} "]))
def test_other_ways_of_writing_a_host_are_the_same_host(host: str, style: str) -> None:
    assert egress.judge([style.format(host.upper())], [("everywhere", [host])]).denied is None


@pytest.mark.parametrize("number", ["0x7f000001", "127.1", "2130706433", "1.0x1", "0x"])
def test_what_resolvers_take_for_an_address_is_no_name(number: str) -> None:
    with pytest.raises(UserMistake, match="EGRESS_RULE"):
        egress.normalise(number)
