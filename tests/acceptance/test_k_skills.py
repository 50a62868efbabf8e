"""Acceptance K: a skill that tries a blocked tool is stopped, and the audit says why."""

import json
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.errors import ClonedError
from tests.conftest import Command, Desk, Dist, sign_into

REPORT = "pipeline.research.report"
PACK = """
schema_version: 1
pack_id: acme.eager
version: 1.0.0
summary: Skills that want more than they may
constitution:
  allowed_tools: [acme.probe.echo@v1, acme.probe.publish@v1]
  max_cost: {api_requests: 2}
pipelines:
  - id: pipeline.acme.overreach
    version: 1.0.0
    summary: Say something, then use a tool that the constitution does not name
    input_schema: {type: object, additionalProperties: false, properties: {}}
    steps:
      - {id: say, tool: acme.probe.echo@v1, summary: Say it, inputs: {text: hello}}
      - {id: reach, tool: acme.probe.misbehave@v1, summary: Overreach, inputs: {how: print}}
  - id: pipeline.acme.spend
    version: 1.0.0
    summary: Say three things with a budget for two
    input_schema: {type: object, additionalProperties: false, properties: {}}
    steps:
      - id: say
        tool: acme.probe.echo@v1
        summary: Say them
        for_each: "{{ ['a', 'b', 'c'] }}"
        inputs: {text: "{{ item }}"}
"""


@pytest.fixture(scope="session")
def eager(tmp_path_factory: pytest.TempPathFactory, probes: Dist) -> Dist:
    """A third party's skill pack, as data."""
    source = tmp_path_factory.mktemp("source") / "acme-eager"
    package = source / "src" / "acme_eager"
    package.mkdir(parents=True)
    (package / "eager.yaml").write_text(PACK)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "acme-eager"\nversion = "1.0.0"\ndescription = "Eager skills"\nlicense = "Apache-2.0"\n'
        'requires-python = ">=3.11"\n'
    )
    (source / "plugin.yaml").write_text(
        "publisher_id: acme\nexecution: data\nisolation: data\ncontributes:\n  skill_packs:\n"
        "    - {id: acme.eager, path: acme_eager/eager.yaml, summary: Eager skills}\n"
    )
    return sign_into(probes, [source])


@pytest.fixture
def skilled(furnished: Desk, probes: Dist, eager: Dist) -> Desk:
    furnished.ask("trust.add", file=str(probes.publisher))
    for dist, name in ((probes, "acme-probe"), (eager, "acme-eager")):
        furnished.ask("plugin.install", **{"id": name, "from": str(dist.folder), "enable": True})
    return furnished


def stopped(desk: Desk, pipeline: str, **inputs: Any) -> ClonedError:
    with pytest.raises(ClonedError) as caught:
        desk.ask("cloned.skills.run", pipeline=pipeline, inputs=inputs)
    return caught.value


def test_a_tool_outside_the_constitution_stops_the_run_and_is_audited_with_the_reason(skilled: Desk) -> None:
    refusal = stopped(skilled, "pipeline.acme.overreach")
    assert (refusal.id, refusal.spec.exit_code) == ("CONSTITUTION_DENIED", 4)
    [run] = skilled.ask("cloned.skills.runs.list").runs
    assert (run.state, run.step) == ("blocked", "reach")
    blocked = [entry for entry in skilled.ask("audit.tail", count=50).entries if entry.get("outcome") == "blocked"]
    [entry] = blocked
    assert (entry["error_id"], entry["run_id"]) == ("CONSTITUTION_DENIED", run.run_id)
    assert "acme.probe.misbehave@v1" in entry["details"]["reason"]


def test_a_tool_on_policys_denylist_stops_the_run(skilled: Desk) -> None:
    skilled.places.policy.joinpath("personal.yaml").write_text(
        "pack_id: personal\ndenylists: {tools: [acme.probe.echo@v1]}\n"
    )
    skilled.ask("policy.apply")
    refusal = stopped(skilled, "pipeline.acme.overreach")
    assert refusal.id == "POLICY_TOOL_DENIED"
    [run] = skilled.ask("cloned.skills.runs.list").runs
    assert (run.state, run.step) == ("blocked", "say")


def test_a_run_cannot_spend_more_than_its_constitution_grants(skilled: Desk) -> None:
    refusal = stopped(skilled, "pipeline.acme.spend")
    assert refusal.id == "BUDGET_RUN_EXCEEDED"
    spent = next(row for row in skilled.ask("budgets.list").budgets if row["category"] == "api_requests")
    assert spent["used"] == 2


def test_the_command_exits_with_the_code_of_a_denial_and_says_what_mends_it(skilled: Desk, command: Command) -> None:
    told = Command(skilled.root, command.env)("run", "pipeline.acme.overreach")
    assert told.code == 4
    assert "CONSTITUTION_DENIED" in told.err
    assert "→" in told.err


def test_a_pipeline_that_nobody_has_is_a_mistake_of_the_command(furnished: Desk, command: Command) -> None:
    told = Command(furnished.root, command.env)("run", "pipeline.nobody.has", "--json")
    assert (told.code, json.loads(told.out)["error"]["id"]) == (2, "PIPELINE_UNKNOWN")


def test_a_dry_run_of_the_report_plans_every_step_and_makes_no_call(furnished: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    furnished.ask("plugin.grant", id="cloned-connector-documents", folder=[f"docs={folder}"])
    planned = furnished.ask("cloned.skills.run", pipeline=REPORT, inputs={"topic": "anything"}, dry_run=True).planned
    assert [line.step for line in planned][:3] == ["search", "synthesize", "save"]
    kinds = {entry["kind"] for entry in furnished.ask("audit.tail", count=50).entries}
    assert "intent" not in kinds
