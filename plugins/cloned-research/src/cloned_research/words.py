"""Words as the ranking compares them: lower case, without endings, without those that every text has."""

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_VOWEL = re.compile("[aeiouy]")
_LEAST_STEM = 3

_STOP_WORDS = (
    "a about above across after again against all also am among an and any are as at be because been before being "
    "below between both but by can could did do does doing down during each few for from further get gets had has have "
    "having he her here hers him his how i if in into is it its itself just may me might more most must my no nor not "
    "of off on once only or other our ours out over own per please same shall she should so some such than that the "
    "their theirs them then there these they this those through to too under until up upon us very via was we were "
    "what when where whether which while who whom whose why will with within without would you your yours"
)
_QUESTION_WORDS = (
    "describe explain give happen happens information list mean means overview question report say show summarise "
    "summarize summary tell topic use used uses using way work works"
)
STOP = frozenset(_STOP_WORDS.split())
_OF_QUESTIONS = frozenset(_QUESTION_WORDS.split())
# Steps 1a, 1b and the commonest of 2 to 4 of Porter's stemmer, longest first
# (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980).
_ENDINGS = (
    ("izations", "ize"), ("ization", "ize"), ("ational", "ate"), ("fulness", "ful"), ("ousness", "ous"),
    ("iveness", "ive"), ("ations", "at"), ("ation", "at"), ("ments", ""), ("ment", ""), ("ness", ""), ("ities", ""),
    ("ity", ""), ("ings", ""), ("ing", ""), ("sses", "ss"), ("ions", ""), ("ion", ""), ("ies", "y"), ("ied", "y"),
    ("als", ""), ("al", ""), ("ers", ""), ("er", ""), ("ed", ""), ("ly", ""), ("es", ""), ("e", ""),
)  # fmt: skip


def spoken(text: str) -> Iterator[str]:
    """Every word of a text in lower case; each Chinese, Japanese or Korean character is a word."""
    for match in _WORD.finditer(text.lower()):
        word = match.group()
        if _UNSPACED.search(word):
            yield from _UNSPACED.findall(word)
        else:
            yield word


def stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, repeats included."""
    return [stem(word) for word in spoken(text) if word not in STOP]


def asked(question: str) -> dict[str, str]:
    """What a question is about: stem to word, in order. Words that only make it a question are left out."""
    words = [word for word in spoken(question) if word not in STOP]
    words = [word for word in words if word not in _OF_QUESTIONS] or words
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(stem(word), word)
    return found


def stem(word: str) -> str:
    """A word without its ending: approvals, approval, approve and approved are one."""
    word = word.partition("'")[0].partition("\u2019")[0]
    if len(word) > _LEAST_STEM and word.endswith("s") and word[-2] not in "su":
        word = word[:-1] if not word.endswith("ies") else word[:-3] + "y"
    for ending, instead in _ENDINGS:
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= _LEAST_STEM and _VOWEL.search(rest):
            return _undoubled(rest + instead)
    return word


def _undoubled(word: str) -> str:
    return word[:-1] if len(word) > _LEAST_STEM and word[-1] == word[-2] and word[-1] not in "lsz" else word
