"""Decides whether a version fits a query, as the local index does in SQL, for a version in the hand."""

from __future__ import annotations

import re
from dataclasses import field
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from bucketry.frozen import frozen
from bucketry.schema.moments import microseconds_of
from bucketry.schema.search.details import Details, parameter_number, parameter_text
from bucketry.schema.search.query import (
    COMPARISONS,
    AliasIs,
    AuthorHas,
    BaseIs,
    CreatedIs,
    DatasetHas,
    LabelIs,
    LettersIn,
    MetricIs,
    ModelLike,
    NotesHave,
    ParameterIs,
    SizeIs,
    StateIs,
    VersionIs,
    WordIn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.head import Row
    from bucketry.schema.names import ModelName
    from bucketry.schema.search.query import Condition, Query


PATTERNS_KEPT = 64
"""How many patterns of letters are kept: the index asks the same of each of 100,000 versions."""


@frozen
class Candidate:
    """A version that may fit. Details may be left empty for a query that `needs_details` says can do without.

    Words are looked for in the model's name too, unless all versions are of one model (`with_name`).
    """

    model: ModelName
    row: Row
    aliases: Sequence[str]
    details: Details = field(default_factory=Details)
    with_name: bool = True


def fits(query: Query, candidate: Candidate) -> bool:
    """Return whether everything that the query asks holds."""
    return all(_holds(term.condition, candidate) is not term.negated for term in query.terms)


def words_of(row: Row) -> str:
    """Return the texts of a row that a word is looked for in, in lower case, one a line."""
    return "\n".join([row.created_by, row.state, *row.labels.values(), f"v{row.version}"]).lower()


def has_letters(text: str, letters: str) -> bool:
    """Return whether letters come in this order in one line of a text, with any others between them."""
    return "\n" not in letters and _letters_pattern(letters).search(text) is not None


def matches_pattern(pattern: str, name: str) -> bool:
    """Return whether a name fits a pattern of `*` and `?`, in time that no pattern can blow up."""
    at = here = 0
    star, resume = -1, 0
    while here < len(name):  # bounded: each star is passed once, and each retry begins one character later
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, here
            at += 1
        elif at < len(pattern) and pattern[at] in {"?", name[here]}:
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _holds(condition: Condition, candidate: Candidate) -> bool:  # noqa: C901, PLR0911, PLR0912 - one for each kind
    row, details = candidate.row, candidate.details
    texts = (*candidate.aliases, *([str(candidate.model)] if candidate.with_name else []))
    match condition:
        case MetricIs(name, part, comparison, number):
            return _compares(details.metrics.get((name, part)), comparison, number)
        case ParameterIs():
            return _parameter_holds(condition, details)
        case BaseIs(model, version):
            return any(model == parent and version in {None, number} for parent, number in details.parents)
        case DatasetHas(text):
            return any(text in name.lower() for name in details.datasets)
        case NotesHave(text):
            return text in details.notes.lower()
        case SizeIs(comparison, size_bytes):
            return _compares(row.size_bytes, comparison, size_bytes)
        case VersionIs(comparison, version):
            return _compares(row.version, comparison, version)
        case CreatedIs(comparison, moment):
            return moment.holds(comparison, microseconds_of(row.created_at))
        case WordIn(word):
            return word in words_of(row) or any(word in text for text in texts)
        case LettersIn(letters):
            return has_letters("\n".join((words_of(row), *texts)), letters)
        case StateIs(state):
            return row.state is state
        case AuthorHas(text):
            return text in row.created_by.lower()
        case AliasIs(alias):
            return alias in candidate.aliases
        case ModelLike(pattern):
            return matches_pattern(pattern, str(candidate.model))
        case LabelIs(name, value):
            return any(name == key.lower() and value in {None, text.lower()} for key, text in row.labels.items())
        case _:
            assert_never(condition)


@lru_cache(PATTERNS_KEPT)
def _letters_pattern(letters: str) -> re.Pattern[str]:
    """Return a pattern that takes each letter where it first comes, so that there is never anything to try again."""
    escaped = [re.escape(letter) for letter in letters]
    return re.compile("".join(escaped[:1]) + "".join(rf"[^{letter}\n]*+{letter}" for letter in escaped[1:]))


def _parameter_holds(condition: ParameterIs, details: Details) -> bool:
    if condition.name not in details.parameters:
        return False
    value = details.parameters[condition.name]
    same_text = parameter_text(value) == condition.text
    number = parameter_number(value)
    if condition.comparison == "!=":
        return not same_text and not _compares(number, "=", condition.number)
    if condition.comparison == "=" and same_text:
        return True
    return _compares(number, condition.comparison, condition.number)


def _compares(value: float | None, comparison: str, number: float | None) -> bool:
    return value is not None and number is not None and COMPARISONS[comparison](value, number)
