"""Skill packs are read strictly, and a bad one stops no other."""

import pytest

from cloned_sdk.host import Refused, SkillPackSource
from cloned_skills.catalog import catalog, read_pack
from cloned_skills.yamltext import MAX_BYTES, parse

PACK = """
schema_version: 1
pack_id: acme.pack
version: 1.0.0
summary: A pack
constitution:
  allowed_tools: [acme.docs.*]
  denied_tools: [acme.docs.remove@v1]
  max_cost: {api_requests: 10}
pipelines:
  - id: pipeline.acme.one
    version: 1.0.0
    summary: One
    input_schema: {type: object}
    steps:
      - {id: look, tool: acme.docs.look@v1, summary: Look, inputs: {query: "{{ inputs.q }}"}}
"""


def source(text: str | bytes = PACK, pack_id: str = "acme.pack", plugin_id: str = "acme-pack") -> SkillPackSource:
    return SkillPackSource(plugin_id, "1.0.0", pack_id, text.encode() if isinstance(text, str) else text)


def refused(text: str | bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read_pack(source(text))
    return caught.value


def test_a_pack_is_read_with_its_defaults() -> None:
    [step] = read_pack(source()).pipelines[0].steps
    assert (step.max_items, step.parallel, step.retry.attempts, step.on_error) == (100, 1, 1, "stop")


def test_a_constitution_covers_what_it_allows_and_does_not_deny() -> None:
    constitution = read_pack(source()).constitution
    assert constitution.covers("acme.docs.look@v1")
    assert not constitution.covers("acme.docs.remove@v1")
    assert not constitution.covers("acme.docsx@v1")
    assert constitution.lent().max_cost == {"api_requests": 10}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("summary: A pack", "summary: A pack\nextra: 1"),
        ("id: look,", "id: look, surprise: 1,"),
        ("schema_version: 1", "schema_version: 2"),
        ("version: 1.0.0", "version: one"),
        ("acme.docs.look@v1", "acme.docs.look"),
        ("id: look", "id: Look"),
        ("id: look,", 'id: "look\\n",'),
        ("allowed_tools: [acme.docs.*]", "allowed_tools: []"),
        ("allowed_tools: [acme.docs.*]", "allowed_tools: ['*']"),
        ("api_requests: 10", "api_requests: '10'"),
        ("summary: Look", "summary: Look, parallel: 17"),
        ("summary: Look", "summary: Look, max_items: 0"),
        ("summary: Look", "summary: Look, max_items: true"),
        ("summary: Look", "summary: Look, retry: {attempts: 6}"),
        ("summary: Look", "summary: Look, on_error: ignore"),
        ("pack_id: acme.pack", "pack_id: acme.other"),
    ],
)  # fmt: skip
def test_what_the_contract_does_not_say_is_refused(old: str, new: str) -> None:
    assert old in PACK
    assert refused(PACK.replace(old, new, 1)).error_id == "PIPELINE_INVALID"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &anchor 1",
        "a: !!python/object/apply:os.system [id]",
        "a: !custom 1",
        "a: !!binary aGk=",
        "%YAML 1.1\n---\na: yes",
        "a: 1\na: 2",
        "a: 1\n---\nb: 2",
        "[" * 5000,
        "{a: " * 40 + "1" + "}" * 40,
        "- x\n" * 20_001,
        "a: 2020-01-01",
        "a: .inf",
        "a: .nan",
        "1: a",
        "? [1]\n: 2",
        "a: 99999999999999999999999999",
        "a: [",
        "a: \x00",
        b"\xff\xfe\x00",
        b"a: \xff",
        "a: yes\n...\n%YAML 1.1\n---\nb: yes",
        "%TAG ! tag:example.com,2000:\n---\na: 1",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_yaml_that_could_surprise_or_exhaust_is_refused(text: str | bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse(text.encode() if isinstance(text, str) else text, "text")
    assert caught.value.error_id == "FILE_SYNTAX"


@pytest.mark.parametrize("text", ["", "- 1", "null", "text"])
def test_what_is_no_object_is_no_pack(text: str) -> None:
    assert refused(text).error_id == "PIPELINE_INVALID"


def test_a_huge_text_is_refused_before_it_is_read() -> None:
    assert refused(b"#" * (MAX_BYTES + 1)).error_id == "FILE_TOO_LARGE"


def test_yaml_is_read_as_version_1_2() -> None:
    assert parse(b"{a: yes, b: 1:30, c: 0o14, d: null, e: true, f: 1.5}", "text") == {
        "a": "yes", "b": "1:30", "c": 12, "d": None, "e": True, "f": 1.5,
    }  # fmt: skip


def test_a_bad_pack_stops_no_other_and_is_told_with_its_reason() -> None:
    found = catalog([source("a: [", "acme.bad", "acme-bad"), source()])
    assert list(found.definitions) == ["pipeline.acme.one"]
    [bad] = found.refused
    assert (bad.pack_id, bad.error_id) == ("acme.bad", "FILE_SYNTAX")


def test_a_pipeline_that_two_packs_claim_is_nobody_s() -> None:
    found = catalog([source(), source(PACK.replace("acme.pack", "evil.pack"), "evil.pack", "evil-pack")])
    assert found.definitions == {}
    assert {pack.error_id for pack in found.refused} == {"PLUGIN_NAMESPACE"}


def test_an_unknown_pipeline_is_answered_with_the_nearest() -> None:
    with pytest.raises(Refused, match=r"pipeline\.acme\.one"):
        catalog([source()]).get("pipeline.acme.on")


def test_the_digest_covers_pipeline_and_constitution() -> None:
    digests = {
        catalog([source(text)]).get("pipeline.acme.one").digest
        for text in (
            PACK,
            PACK,
            PACK.replace("summary: Look", "summary: See"),
            PACK.replace("api_requests: 10", "api_requests: 11"),
        )
    }
    assert len(digests) == 3


def test_a_step_outside_the_constitution_is_told() -> None:
    text = PACK.replace("acme.docs.look@v1", "acme.mail.send@v1")
    assert catalog([source(text)]).get("pipeline.acme.one").outside() == ["look"]
