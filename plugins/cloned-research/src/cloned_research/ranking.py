"""Choose the sentences that answer a question: on the subject, central, said once. Pure and deterministic.

Every sum runs in a fixed order; ties fall to the order of the sources.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloned_research.relevance import Candidate, judge, weights_of
from cloned_research.words import spoken

LEAST_COVERED = 0.47
"""Share of the question that one passage must mention. Set on ten design documents: of 17 questions, those that they
answer reached 0.50 and more, those about something else 0.43 at most."""
_OF_THE_BEST = 0.7
"""Share of the third best sentence's relevance, and of its score, below which a sentence is left out.

Not of the best one's: a sentence that repeats the question would leave nothing beside it.
"""
_CENTRALITY = 0.35
_DIVERSITY = 0.25
"""Share of novelty against score in the choice (maximal marginal relevance, Carbonell and Goldstein 1998)."""
_SAME = 0.8
_GOOD_WORDS = range(8, 41)
_ENUMERATION = 0.25
"""Commas for each word above which a sentence only lists things."""
_OPENING = 1.1
"""The first sentence of a passage says what it is about."""
_BACK_WORDS = (
    "it its this that these those they their them he she his her such so thus therefore hence however but and or also "
    "otherwise then both either neither here there same"
)
_POINTS_BACK = frozenset(_BACK_WORDS.split())


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen candidate, by its index, and its score."""

    index: int
    score: float


def choose(candidates: Sequence[Candidate], terms: Sequence[str], most: int) -> list[Choice]:
    """At most `most` candidates, best first; none where nothing is about the terms (stems)."""
    weights = weights_of(candidates, terms)
    relevance = judge(candidates, terms, weights)
    if relevance.covered < LEAST_COVERED:
        return []
    bar = _bar(relevance.of)
    kept = [index for index, value in enumerate(relevance.of) if value >= bar]
    vectors = {index: _vector(candidates[index].bag, weights) for index in kept}
    centre = _centre([(relevance.of[index], vectors[index]) for index in kept])
    nearness = {index: _cosine(vectors[index], centre) for index in kept}
    nearest = max(nearness.values()) or 1.0
    scores = {
        index: relevance.of[index]
        * (1 - _CENTRALITY + _CENTRALITY * nearness[index] / nearest)
        * _form(candidates[index])
        for index in kept
    }
    return _diverse(scores, vectors, candidates, most)


def points_back(sentence: str) -> bool:
    """Whether a sentence needs the one before it to be understood."""
    return next(spoken(sentence), "") in _POINTS_BACK or sentence[0].islower()


def _form(candidate: Candidate) -> float:
    """How well a sentence stands alone: neither short nor endless, not pointing back, prose before rows."""
    words = list(spoken(candidate.shown))
    fit = 1.0 if len(words) in _GOOD_WORDS else 0.75
    if points_back(candidate.shown):
        fit *= 0.75
    if candidate.kind == "table":
        fit *= 0.6
    if candidate.shown.count(",") > len(words) * _ENUMERATION:
        fit *= 0.75
    if candidate.place[1] == 0:
        fit *= _OPENING
    return fit * (0.6 if candidate.shown.endswith((":", "?")) else 1.0)


def _vector(bag: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, float]:
    vector = {word: (1 + math.log(count)) * weights[word] for word, count in sorted(bag.items())}
    length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
    return {word: value / length for word, value in vector.items()}


def _centre(vectors: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for weight, vector in vectors:
        for word, value in vector.items():
            total[word] = total.get(word, 0.0) + weight * value
    length = math.sqrt(sum(total[word] ** 2 for word in sorted(total))) or 1.0
    return {word: value / length for word, value in total.items()}


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return sum(value * other.get(word, 0.0) for word, value in one.items())


def _bar(values: Iterable[float]) -> float:
    return _OF_THE_BEST * sorted(values, reverse=True)[:3][-1]


def _diverse(
    scores: Mapping[int, float],
    vectors: Mapping[int, Mapping[str, float]],
    candidates: Sequence[Candidate],
    most: int,
) -> list[Choice]:
    top, bar = max(scores.values()), _bar(scores.values())
    left = {index: score for index, score in scores.items() if score >= bar}
    nearest = dict.fromkeys(left, 0.0)
    chosen: list[Choice] = []
    while left and len(chosen) < most:
        value = {
            index: (1 - _DIVERSITY) * score / top - _DIVERSITY * nearest[index]
            for index, score in left.items()
            if nearest[index] < _SAME
        }
        if not value:
            break
        best = min(value, key=lambda index: (-round(value[index], 9), candidates[index].place))
        chosen.append(Choice(best, left.pop(best)))
        for index in left:
            nearest[index] = max(nearest[index], _cosine(vectors[best], vectors[index]))
    return chosen
