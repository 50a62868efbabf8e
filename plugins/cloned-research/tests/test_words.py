"""Words: forms of one word meet, and a question is about its subject."""

import pytest

from cloned_research.words import asked, stem


@pytest.mark.parametrize(
    "family",
    [
        ("approval", "approvals", "approve", "approved", "approving"),
        ("policy", "policies"),
        ("audit", "audited", "audits"),
        ("isolate", "isolated", "isolation"),
        ("plugin", "plugins", "plugin's"),
        ("run", "running", "runs"),
        ("verify", "verified", "verifies"),
        ("document", "documents"),
    ],
)
def test_forms_of_a_word_have_one_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word) for word in family}) == 1


@pytest.mark.parametrize("pair", [("policy", "police"), ("process", "proceed"), ("bus", "business"), ("key", "keen")])
def test_other_words_do_not_meet(pair: tuple[str, str]) -> None:
    assert stem(pair[0]) != stem(pair[1])


def test_a_question_is_about_its_subject() -> None:
    assert list(asked("What does the report say about how approvals work?").values()) == ["approvals"]
    assert list(asked("report").values()) == ["report"]
