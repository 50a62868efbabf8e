"""Reports: what is chosen, how it is cited, and that nothing is claimed where nothing was found."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from cloned_research import worker
from cloned_sdk import Call, ToolError

Make = Callable[..., dict[str, Any]]
Ask = Callable[..., worker.Output]

APPROVALS = (
    "A call that publishes waits until a person has approved it. Approvals are written\n"
    "to an append-only log and expire after three days. The weather was fine on that day.\n"
    "Approvals cover one call with exactly its inputs."
)
OTHER = "Budgets are counted by the month and roll over in UTC. A budget never goes below zero at any time."


def test_a_report_quotes_what_the_question_asks_for(passage: Make, ask: Ask) -> None:
    answer = ask("How do approvals work?", passage(APPROVALS, "guide.md", 10, "Guide > Approvals"), passage(OTHER))
    assert answer.found
    assert answer.title == "How do approvals work?"
    assert answer.file_name == "how-do-approvals-work.md"
    assert "- “Approvals are written to an append-only log and expire after three days.” [" in answer.markdown
    assert "Budgets" not in answer.markdown
    assert "# How do approvals work?\n" in answer.markdown


def test_every_citation_leads_to_the_line_that_its_sentence_begins_on(passage: Make, ask: Ask) -> None:
    source = passage(APPROVALS, "guide.md", 10, "Guide > Approvals")
    answer = ask("How do approvals work?", source, passage(OTHER))
    assert {one.locator for one in answer.citations} >= {"documents/guide.md:10", "documents/guide.md:12"}
    for one in answer.citations:
        document, _, line = one.locator.rpartition(":")
        assert document == "documents/guide.md"
        rest = " ".join("\n".join(APPROVALS.split("\n")[int(line) - 10 :]).split())
        assert one.quote in rest
        assert (one.source, one.content_hash) == (source["source"], source["content_hash"])
    sources = answer.markdown.partition("## Sources")[2]
    listed = re.findall(r"^\[(\d+)\] (\S+) — Guide \u203a Approvals {0,2}$", sources, re.MULTILINE)
    assert listed == [(str(one.citation), one.locator) for one in answer.citations]
    body = answer.markdown.partition("## Sources")[0]
    assert re.findall(r"” \[(\d+)\]$", body, re.MULTILINE) == [str(one.citation) for one in answer.citations]


def test_provenance_is_what_an_artifacts_manifest_keeps(passage: Make, ask: Ask) -> None:
    answer = ask("How do approvals work?", passage(APPROVALS))
    assert [(one.citation, one.locator, one.content_hash) for one in answer.provenance] == [
        (one.citation, one.locator, one.content_hash) for one in answer.citations
    ]
    assert {one.retrieved_at for one in answer.provenance} == {"2026-01-31T12:00:00Z"}


def test_the_same_question_gives_the_same_report_at_another_time(passage: Make, ask: Ask) -> None:
    first = ask("How do approvals work?", passage(APPROVALS), passage(OTHER, "b.md"))
    later = {"retrieved_at": "2027-02-01T00:00:00Z"}
    second = ask("How do approvals work?", passage(APPROVALS, **later), passage(OTHER, "b.md", **later))
    assert (first.markdown, first.citations) == (second.markdown, second.citations)


def test_findings_are_grouped_by_the_section_they_stand_in(passage: Make, ask: Ask) -> None:
    many = (
        "Approvals wait for three days before they expire. Approvals of a payment need two people from finance.\n"
        "Approvals given by telephone are never accepted here. Approvals are signed with the key of the operator.\n"
        "Approvals cover exactly one call with its inputs. Approvals can be withdrawn until the call was made."
    )
    answer = ask("approvals", passage(many, "a.md", 3, "One > Approvals"), passage(OTHER, "b.md", 9, "Two"))
    assert answer.markdown.index("## Short answer") < answer.markdown.index("## Findings")
    assert answer.markdown.count("### ") == answer.markdown.count("### Approvals (documents/a.md)") == 1
    numbers = [int(number) for number in re.findall(r"” \[(\d+)\]", answer.markdown)]
    assert numbers == [1, 2, 3, 4, 5, 6]
    lines = [int(one.locator.rpartition(":")[2]) for one in answer.citations[3:]]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "question", ["How are kubernetes clusters upgraded?", "airspeed of an unladen swallow", "cooking recipes for pasta"]
)
def test_where_no_source_is_about_the_question_nothing_is_quoted(passage: Make, ask: Ask, question: str) -> None:
    answer = ask(question, passage(APPROVALS), passage(OTHER, "b.md"))
    assert (answer.found, answer.citations, answer.provenance) == (False, [], [])
    assert "**Nothing relevant was found.**" in answer.markdown
    assert "“" not in answer.markdown
    assert "2 passages in 2 documents" in answer.markdown


def test_without_passages_the_report_says_so_and_what_was_looked_for(ask: Ask) -> None:
    answer = ask("How do approvals work?")
    assert not answer.found
    assert "No passage in the sources holds any word of this question." in answer.markdown
    assert "Looked for: approvals." in answer.markdown


def test_a_part_of_the_question_that_no_source_mentions_is_told(passage: Make, ask: Ask) -> None:
    answer = ask("Which approvals expire, and which are written to a log by a pigeon?", passage(APPROVALS))
    assert answer.found
    assert "The sources searched do not mention: pigeon." in answer.markdown


def test_the_same_sentence_in_two_documents_is_quoted_once(passage: Make, ask: Ask) -> None:
    answer = ask("approvals", passage(APPROVALS, "a.md"), passage(APPROVALS, "copy.md"))
    assert answer.markdown.count("append-only log") == 1


def test_no_more_sentences_than_asked_for(passage: Make, ask: Ask) -> None:
    text = " ".join(f"Approvals number {n} concern the matter called {n}{n} here." for n in range(40))
    assert len(ask("approvals", passage(text), max_sentences=5).citations) == 5


def test_a_source_cannot_write_anything_but_text_into_a_report(passage: Make, ask: Ask) -> None:
    text = (
        "Approvals are [click here](https://evil.example) for <img src=x onerror=alert(1)> every person here.\n"
        "Approvals also say ## Sources [9] documents/evil.md:1 and https://evil.example/?q=secret to the reader."
    )
    heading = "[Approvals](javascript:x) > <b>Evil</b>"
    answer = ask("approvals", passage(text, "evil](x).md", 1, heading))
    assert "](" not in answer.markdown.replace(r"\](", "")
    assert "https://" not in answer.markdown
    assert "<" not in answer.markdown.replace(r"\<", "")
    assert re.search(r"(?m)^## Sources", answer.markdown.partition("## Sources\n")[2]) is None
    assert r"\[9\]" in answer.markdown


@pytest.mark.parametrize(("word", "found"), [("log", True), ("unicorn", False)])
def test_a_question_cannot_break_the_title(passage: Make, ask: Ask, word: str, found: bool) -> None:
    answer = ask(f"approvals\n# <{word}>", passage(APPROVALS))
    assert answer.found is found
    assert answer.markdown.startswith(f"# approvals # \\<{word}\\>\n\n")
    assert len(ask("approvals " + "x" * 300).title) == 200


def test_a_question_without_words_is_refused(ask: Ask) -> None:
    with pytest.raises(ToolError) as refused:
        ask("?!")
    assert refused.value.code == "QUESTION_EMPTY"


def test_a_cancelled_call_gives_nothing() -> None:
    call = Call(tool_id="-", call_id="c", settings={}, granted={}, send=lambda _: None, token=None)
    call.cancelled = True
    with pytest.raises(ToolError) as refused:
        worker.synthesize(worker.Inputs("approvals", []), call)
    assert refused.value.code == "CANCELLED"
