"""The order of a report: the answer, then the section that says most, within one as in the text."""

from cloned_research.report import Claim, arrange


def claim(document: str, line: int, score: float, *, opens: bool = False) -> Claim:
    return Claim(
        shown=f"Sentence at {document}:{line}.",
        quote=f"Sentence at {document}:{line}.",
        source="documents:documents",
        document=document,
        line=line,
        position=0,
        heading="",
        content_hash="0" * 64,
        retrieved_at="2026-01-31T12:00:00Z",
        opens=opens,
        score=score,
    )


def test_the_answer_takes_the_best_that_may_open_a_report() -> None:
    arranged = arrange([claim("a", 1, 3), claim("a", 2, 2, opens=True), claim("a", 3, 1, opens=True)], 1)
    assert [one.locator for one in arranged.answer] == ["a:2"]
    assert [(title, [one.locator for one in claims]) for title, claims in arranged.sections] == [("a", ["a:1", "a:3"])]


def test_where_none_may_open_it_the_best_do() -> None:
    arranged = arrange([claim("a", 9, 2), claim("a", 1, 1)], 1)
    assert [one.locator for one in arranged.claims] == ["a:9", "a:1"]


def test_the_section_that_says_most_comes_first_and_numbers_follow_the_page() -> None:
    claims = [claim("top", 1, 9, opens=True), claim("one", 5, 3), claim("two", 8, 2), claim("two", 4, 2)]
    arranged = arrange(claims, 1)
    assert [title for title, _ in arranged.sections] == ["two", "one"]
    assert [(one.citation, one.locator) for one in arranged.claims] == [
        (1, "top:1"), (2, "two:4"), (3, "two:8"), (4, "one:5"),
    ]  # fmt: skip
