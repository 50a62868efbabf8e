"""Expressions read and shape JSON values, and can do nothing else: no Python, no loop, no growth without bound."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloned_sdk.host import Refused
from cloned_skills.expressions import MAX_SOURCE, compile_bare, compile_text

SCOPE: dict[str, Any] = {
    "inputs": {"topic": "cats", "n": 3, "items": [3, 1, 2], "big": "x" * 900_000, "flag": True, "nothing": None},
    "steps": {
        "search": {
            "output": {"passages": [{"source": "a.md", "lines": [1, 2]}, {"source": "b.md", "lines": [3]}]},
            "outputs": [{"found": ["a", "b"]}, {"found": ["c"]}],
            "skipped": False,
        }
    },
    "item": {"source": "a.md"},
    "index": 0,
    "run": {"pipeline_id": "p", "pipeline_version": "1.0.0", "inputs_hash": "0" * 64},
}


def value(text: str) -> Any:
    return compile_text(text, "here").value(SCOPE)


def refused(text: str) -> str:
    with pytest.raises(Refused) as caught:
        value(text)
    assert caught.value.error_id == "PIPELINE_INVALID"
    assert caught.value.fact.startswith("here: ")
    return caught.value.fact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ inputs.topic }}", "cats"),
        ("{{ inputs['topic'] }}", "cats"),
        ("{{ inputs.n }}", 3),
        ("{{ inputs.flag }}", True),
        ("{{ inputs.nothing }}", None),
        ("On {{ inputs.topic }}, {{ inputs.n }} times", "On cats, 3 times"),
        ("{{ inputs.items }}", [3, 1, 2]),  # the key, never the method of a dict
        ("{{ inputs.items[0:2] }}", [3, 1]),
        ("{{ inputs.n * 2 + 1 }}", 7),
        ("{{ 'a' ~ inputs.n ~ 'b' }}", "a3b"),
        ("{{ inputs.items + [9] }}", [3, 1, 2, 9]),
        ("{{ {'query': inputs.topic, 'k': [1, none]} }}", {"query": "cats", "k": [1, None]}),
        ("{{ steps.search.output.passages | map(attribute='lines') | flatten }}", [1, 2, 3]),
        ("{{ steps.search.outputs | map(attribute='found') | flatten | join(', ') }}", "a, b, c"),
        (
            "{{ steps.search.output.passages | selectattr('source', 'eq', 'b.md') | first }}",
            {"source": "b.md", "lines": [3]},
        ),
        ("{{ inputs.items | sort | last }}", 3),
        ("{{ inputs.missing | default('none') }}", "none"),
        ("{{ inputs.missing.deeper is defined }}", False),
        ("{{ 'yes' if inputs.n > 2 else 'no' }}", "yes"),
        ("{{ inputs.topic in ['cats', 'dogs'] and not inputs.nothing }}", True),
        ("{{ item.source }}#{{ index }}", "a.md#0"),
        ("{{ 'Über Katzen & Hunde' | slug }}", "ber-katzen-hunde"),
        ("{{ run.inputs_hash }}", "0" * 64),
        ("{# a remark #}text\n", "text\n"),
    ],
)
def test_an_expression_has_its_value_with_its_kind(text: str, expected: object) -> None:
    assert value(text) == expected


def test_text_that_looks_like_code_stays_text() -> None:
    scope = SCOPE | {"inputs": {"topic": "{{ 7 * 7 }} [1, 2] 123"}}
    assert compile_text("{{ inputs.topic }}", "here").value(scope) == "{{ 7 * 7 }} [1, 2] 123"


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ inputs.topic.__class__ }}",
    "{{ inputs['__class__'] }}",
    "{{ inputs.topic['__class__'] }}",
    "{{ (inputs.items|map(attribute='__class__')) }}",
    "{{ inputs.items|map(attribute='__class__.__mro__') }}",
    "{{ inputs.topic|attr('__class__') }}",
    "{{ inputs.topic.format }}",
    "{{ '{0.__class__}'.format(inputs.topic) }}",
    "{{ '%s'|format(inputs.topic) }}",
    "{{ inputs.keys() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner }}",
    "{{ namespace() }}",
    "{{ dict(a=1) }}",
    "{{ range(3) }}",
    "{{ inputs.items|map('__text__') }}",
    "{{ inputs.items|__text__ }}",
    "{{ inputs.topic|eval }}",
    "{{ (1).__class__ }}",
    "{{ [].append(1) }}",
    "{{ loop.index }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ inputs.items|join(*inputs.items) }}",
    "{{ inputs.items|join(**inputs) }}",
    "{{ steps }}",
    "{{ inputs }}",
    "{{ steps[inputs.topic] }}",
    "{{ context }}",
    "{{ environment }}",
    "{{ result }}",
    "{{ _ }}",
    "{{ inputs.topic is callable }}",
    "{{ inputs.topic is sameas none }}",
    "{% set x = 1 %}{{ x }}",
    "{% for a in inputs.items %}{{ a }}{% endfor %}",
    "{% if true %}x{% endif %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% macro m() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% raw %}{{ x }}{% endraw %}{% do 1 %}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_leads_out_of_the_values_given(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    "text",
    ["{{ 1 if true else range(9) }}", "{{ 1 if true else 9 ** 9 }}", "{{ inputs.n or inputs.items|attr('x') }}",
     "{{ inputs.n or inputs.n is callable }}", "{{ inputs.n or lipsum }}", "{{ inputs.n or inputs.items|join(*[1]) }}"],
)  # fmt: skip
def test_what_is_not_part_of_expressions_is_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(Refused):
        compile_text(text, "here")


BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ 'a' * 1000000000 }}",
    "{{ 1000000000 * 'a' }}",
    "{{ [1] * 1000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ range(10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ 5|round(-1000000000) }}",
    "{{ 1.5|round(1000000000) }}",
    "{{ inputs.big ~ inputs.big }}",
    "{{ inputs.big + inputs.big }}",
    "{{ inputs.big }}{{ inputs.big }}",
    "{{ [inputs.big, inputs.big, inputs.big] }}",
    "{{ [inputs.big, inputs.big]|join }}",
    "{{ inputs.big|replace('x', inputs.big) }}",
    "{{ inputs.big|replace('', 'x') }}",
    "{{ inputs.items|join(inputs.big) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'x'|indent(1000000000) }}",
    "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "{{ " + "[" * 900 + "]" * 900 + " }}",
    "{{ " + "-" * 3000 + "1 }}",
    "{{ " + "not " * 900 + "1 }}",
    "{{ " + " + ".join(["1"] * 300) + " }}",
    "{{ " + "9" * 3900 + " }}",
    "{{ 1e999 }}",
    "{{ -1e999 }}",
    "{{ 1e308 * 10 }}",
    "{{ " + "x" * MAX_SOURCE + " }}",
    "{{ " * 1000,
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:40])
def test_an_expression_bomb_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ inputs.missing }}", "missing"),
        ("{{ [inputs.missing] }}", "missing"),
        ("{{ inputs.missing.deeper }}", "missing"),
        ("{{ inputs.items[7] }}", "7"),
        ("a {{ inputs.missing }}", "missing"),
        ("{{ not inputs.missing }}", "missing"),
        ("{{ inputs.missing + 1 }}", "missing"),
        ("{{ inputs.missing == 1 }}", "missing"),
        ("{{ inputs.missing|upper }}", "missing"),
        ("{{ inputs.items|map(attribute='x') }}", "x"),
        ("{{ 1 if inputs.n > 5 }}", "else"),
        ("{{ []|first }}", "0"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(text: str, why: str) -> None:
    assert why in refused(text)


@pytest.mark.parametrize(
    "text",
    ["{{ 1 / 0 }}", "{{ 'a' < 1 }}", "{{ inputs.topic + 1 }}", "{{ {1: 2} }}", "x {{ none }}", "x {{ inputs.items }}",
     "{{ inputs.n|length }}", "{{ 'x'|int }}", "{{ inputs.items|selectattr('a', 'nope') }}", "{{ a", "{{ }}",
     "{{ 1 2 }}"],
)  # fmt: skip
def test_a_wrong_kind_or_syntax_is_an_error_and_never_another_exception(text: str) -> None:
    refused(text)


def test_it_tells_what_it_reads() -> None:
    expression = compile_text(
        "{{ steps.search.output }} {{ steps['read'].output }} {{ inputs.topic }} {{ item }}", "here"
    )
    assert expression.steps == {"search", "read"}
    assert expression.inputs == {"topic"}
    assert expression.names == {"steps", "inputs", "item"}


@pytest.mark.parametrize("text", ["inputs.n > 2", "{{ inputs.n > 2 }}", "  {{ inputs.n > 2 }}\n"])
def test_a_condition_needs_no_braces(text: str) -> None:
    assert compile_bare(text, "here").value(SCOPE) is True


@pytest.mark.parametrize("text", ["yes {{ inputs.n }}", "{{ inputs.n }}{{ inputs.n }}", "{% if 1 %}{% endif %}", ""])
def test_a_condition_is_one_expression_and_no_text(text: str) -> None:
    with pytest.raises(Refused):
        compile_bare(text, "here")


def test_a_value_cannot_be_changed_through_its_copy() -> None:
    found = value("{{ inputs.items }}")
    found.append(4)
    assert SCOPE["inputs"]["items"] == [3, 1, 2]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}%#[]()'\"|.~*+-/,:_ abcdinputsrange019\n", max_size=60))
def test_any_text_is_a_value_or_a_refusal(text: str) -> None:
    try:
        value(text)
        value("{{ " + text + " }}")
    except Refused as refusal:
        assert refusal.error_id == "PIPELINE_INVALID"  # noqa: PT017 - either outcome is right, any other exception is not
