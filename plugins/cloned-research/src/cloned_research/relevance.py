"""How far each sentence is about a question. Pure and deterministic: every sum runs in a fixed order."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cloned_research.words import stems

_IN_SENTENCE, _IN_TITLE, _IS_TITLE, _IN_HEADINGS, _IN_PASSAGE, _IN_PATH = 0.6, 0.5, 0.4, 0.3, 0.15, 0.2
"""How surely a sentence is about a word of the question that stands in it or in its surroundings.

`_IS_TITLE` comes on top where the section's title says nothing else.
"""
_SATURATION, _LENGTH_SHARE = 0.5, 0.5
"""BM25's k1 and b (Robertson and Zaragoza 2009): how much a word's repeats and a sentence's length count."""


@dataclass(frozen=True)
class Candidate:
    """A sentence with its surroundings. `place` sorts it among all: passage, then position in it."""

    place: tuple[int, int]
    shown: str
    kind: str
    title: str
    headings: str
    passage: str
    path: str

    @cached_property
    def bag(self) -> Mapping[str, int]:
        """Its stems, counted."""
        return Counter(stems(self.shown))


@dataclass(frozen=True, slots=True)
class Relevance:
    """`of` has a share (0 to 1) of the question for each candidate; `covered` the share that one passage mentions.

    In the latter, a word that no passage mentions counts double: it is likely what the question is about.
    """

    of: tuple[float, ...]
    covered: float


def weights_of(candidates: Sequence[Candidate], terms: Sequence[str]) -> dict[str, float]:
    """BM25's inverse frequency of each stem, over sentences."""
    counts: Counter[str] = Counter(word for candidate in candidates for word in candidate.bag)
    total = len(candidates)
    words = [*counts, *(term for term in terms if term not in counts)]
    return {word: math.log(1 + (total - (n := max(1, counts[word])) + 0.5) / (n + 0.5)) for word in words}


def judge(candidates: Sequence[Candidate], terms: Sequence[str], weights: Mapping[str, float]) -> Relevance:
    """The relevance of every candidate to the terms (stems, at least one)."""
    # The passages were searched by these words, so that their frequency here says little; it counts for half.
    rarest = max(weights[term] for term in terms) or 1.0
    counts = {term: 0.5 + 0.5 * weights[term] / rarest for term in terms}
    whole = sum(counts.values())
    usual = sum(sum(candidate.bag.values()) for candidate in candidates) / max(1, len(candidates))
    around = _Surroundings(frozenset(terms))
    shares = [{term: around.share(candidate, term, usual) for term in terms} for candidate in candidates]
    of = tuple(sum(counts[term] * share[term] for term in terms) / whole for share in shares)
    told = [around.mentioned(candidate) for candidate in candidates]
    missing = sum(counts[term] for term in terms if not any(term in words for words in told))
    most = max((sum(counts[term] for term in terms if term in words) for words in told), default=0.0)
    return Relevance(of, most / (whole + missing))


class _Surroundings:
    """The stems of headings, passages and paths, worked out once for all the sentences that share them."""

    def __init__(self, terms: frozenset[str]) -> None:
        self._terms = terms
        self._known: dict[str, frozenset[str]] = {}

    def share(self, candidate: Candidate, term: str, usual: float) -> float:
        """How surely a candidate is about one term, 0 to 1: the doubts that each place leaves are multiplied."""
        size = 1 - _LENGTH_SHARE + _LENGTH_SHARE * sum(candidate.bag.values()) / usual
        count = candidate.bag.get(term, 0)
        doubt = 1 - _IN_SENTENCE * min(1.0, count * (_SATURATION + 1) / (count + _SATURATION * size))
        title = self._stems(candidate.title)
        if term in title:
            doubt *= 1 - _IN_TITLE - _IS_TITLE * len(title & self._terms) / len(title)
        places = ((_IN_HEADINGS, candidate.headings), (_IN_PASSAGE, candidate.passage), (_IN_PATH, candidate.path))
        for surety, text in places:
            doubt *= 1 - surety if term in self._stems(text) else 1
        return 1 - doubt

    def mentioned(self, candidate: Candidate) -> frozenset[str]:
        """The terms that a candidate's passage or its headings mention."""
        places = (candidate.passage, candidate.title, candidate.headings)
        return self._terms & frozenset(word for text in places for word in self._stems(text))

    def _stems(self, text: str) -> frozenset[str]:
        if text not in self._known:
            self._known[text] = frozenset(stems(text))
        return self._known[text]
