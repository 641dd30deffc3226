"""Parses what somebody asks for: `auc>0.9 state:approved label:team=risk -alias:production chat`.

Parts are separated by spaces and must all hold; one that begins with `-` or `!` must not. Quotes keep spaces together,
and a quoted part is always a word, unless a comparison stands behind the quotes.

    word  "two words"        in the model's name, the author, the state, an alias or a label's value, or v7 for number 7
    ~crdrsk                  the same, with any characters between the letters
    state:approved  author:ada  alias:production  model:acme/*  label:team=risk  label:team
    base:acme/base:3  base:acme/base  data:web  notes:text
    auc>0.9  auc[age=18-25]>=0.8  "macro avg f1-score">0.9  param.lr<=1e-3  param.optimizer=adam
    created>2026-10-01  size>10GB  version<=7
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.documents.states import State, parse_state
from bucketry.schema.moments import Moment, parse_day_or_moment
from bucketry.schema.names import ByVersion, ModelName, Newest, parse_alias, parse_model_name, parse_reference
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.schema.documents.evidence import Slice

LONGEST_QUERY = 2_000
MOST_TERMS = 32
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
"""Each comparison, as it is written and as it is done."""


@frozen
class WordIn:
    """A word, in lower case, that must be somewhere in what is known of a version by its row."""

    word: str


@frozen
class LettersIn:
    """Letters, in lower case, that come in this order, with any others between them, where a word is looked for."""

    letters: str


@frozen
class StateIs:
    """The version is in this state."""

    state: State


@frozen
class AuthorHas:
    """The author contains this text, in lower case."""

    text: str


@frozen
class AliasIs:
    """This alias names the version."""

    alias: str


@frozen
class ModelLike:
    """The model's name fits a pattern: `*` stands for any characters, `?` for one."""

    pattern: str


@frozen
class LabelIs:
    """The version has a label, with this value if one is given; both in lower case."""

    name: str
    value: str | None


@frozen
class BaseIs:
    """The version was made from this model, from this version of it if one is given."""

    model: ModelName
    version: int | None


@frozen
class DatasetHas:
    """The version was trained on a data set whose name contains this text, in lower case."""

    text: str


@frozen
class NotesHave:
    """The version's notes contain this text, in lower case."""

    text: str


@frozen
class MetricIs:
    """A metric compares so with a number; without a slice, its value over the whole data."""

    name: str
    slice: Slice
    comparison: str
    number: float


@frozen
class ParameterIs:
    """A hyperparameter compares so with a number, or is (not) this text; nested ones are written with dots."""

    name: str
    comparison: str
    number: float | None
    text: str


@frozen
class SizeIs:
    """The version's size compares so with a number of bytes."""

    comparison: str
    size_bytes: int


@frozen
class VersionIs:
    """The version's number compares so with this one."""

    comparison: str
    version: int


@frozen
class CreatedIs:
    """The version was made before, in or after a day, a minute or a second, which has a length."""

    comparison: str
    moment: Moment


RowCondition = (
    WordIn | LettersIn | StateIs | AuthorHas | AliasIs | ModelLike | LabelIs | SizeIs | VersionIs | CreatedIs
)  # answered by a version's row, its model's name and its aliases
DetailCondition = BaseIs | DatasetHas | NotesHave | MetricIs | ParameterIs  # these need manifest and evidence
Condition = RowCondition | DetailCondition


@frozen
class Term:
    """A condition that must hold, or must not."""

    condition: Condition
    negated: bool = False


@frozen
class Query:
    """Terms that must all hold; without any, everything is meant."""

    terms: tuple[Term, ...] = ()

    @property
    def of_rows(self) -> Query:
        """The part that rows alone can answer."""
        return Query(tuple(term for term in self.terms if not isinstance(term.condition, DetailCondition)))

    @property
    def asks_for_deleted(self) -> bool:
        """Whether deleted versions are meant, which nobody else wants to see."""
        return Term(StateIs(State.DELETED)) in self.terms

    @property
    def metric_names(self) -> list[str]:
        """The metrics that are asked about, as they are written: `auc`, `auc[age=18-25]`."""
        asked = (term.condition for term in self.terms if isinstance(term.condition, MetricIs))
        return [spell_metric(condition.name, condition.slice) for condition in asked]

    @property
    def needs_details(self) -> bool:
        """Whether rows alone cannot answer: manifest and evidence are asked about."""
        return any(isinstance(term.condition, DetailCondition) for term in self.terms)


_NEGATION = re.compile(r"[-!]")
_FIELD = re.compile(r"([a-z]+):(.*)", re.DOTALL)
_COMPARED = re.compile(
    r"(?P<name>[^<>=!\[\]\"]+)(?:\[(?P<slice>[^\[\]]*)\])?(?P<by><=|>=|!=|<|>|=)(?P<value>.*)", re.DOTALL
)
_QUOTED_NAME = re.compile(r'"[^"<>=!\[\]]+"(?:\[[^\[\]]*\])?[<>=!]')
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([kmgtp]?)(i?)b?", re.IGNORECASE)
_UNIT_STEPS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PATTERN = re.compile(r"[a-z0-9._/*?-]{1,200}")
_FUZZY = "~"
_PARAMETER = "param."
_LABEL = "label."


def parse_query(text: str) -> Query:
    """Return the query; raise `UsageError`, which names the part that is wrong and where it begins."""
    if len(text) > LONGEST_QUERY:
        raise UsageError(f"the query has {len(text):,} characters; the limit is {LONGEST_QUERY:,}")
    terms = []
    for part in _split(text):
        try:
            terms.append(Term(_parse_condition(part), part.negated))
        except BucketryError as error:
            place = f'"{displayable(part.text)}" at character {part.place} of the query'
            raise UsageError(f"{place}: {error.message}", advice=error.advice) from error
    if len(terms) > MOST_TERMS:
        raise UsageError(f"the query has {len(terms)} parts; the limit is {MOST_TERMS}")
    return Query(tuple(terms))


def spell_metric(name: str, part: Slice) -> str:
    """Return a metric as a query spells it."""
    return f"{name}[{','.join(f'{attribute}={value}' for attribute, value in part)}]" if part else name


def parse_metric_name(text: str) -> tuple[str, Slice]:
    """Return name and slice of `auc` or `auc[age=18-25]`; raise `UsageError`."""
    found = _COMPARED.fullmatch(f"{text}=0")
    if not found:
        raise UsageError(f'"{displayable(text)}" is not a metric', advice="write auc, or auc[age=18-25]")
    return found["name"], _parse_slice(found["slice"])


@frozen
class _Part:
    """One part of the text: its place (from 1), whether it is negated, and whether it was quoted from its beginning."""

    text: str
    place: int
    negated: bool
    quoted: bool


def _split(text: str) -> Iterator[_Part]:
    at = 0
    while at < len(text):  # bounded: each round takes a character at least
        if text[at].isspace():
            at += 1
            continue
        begin = at
        negated = bool(_NEGATION.match(text, at)) and at + 1 < len(text) and not text[at + 1].isspace()
        at += negated
        quoted = text[at] == '"' and not _QUOTED_NAME.match(text, at)
        piece, inside, opened = "", False, at
        while at < len(text) and (inside or not text[at].isspace()):  # up to the next space outside quotes
            if text[at] == '"':
                inside = not inside
            else:
                piece += text[at]
            at += 1
        if inside:
            raise UsageError(
                f"the quote at character {opened + 1} of the query has no end: {displayable(text[opened:][:40])}",
                advice='close it with "',
            )
        yield _Part(piece, begin + 1, negated, quoted)


def _parse_condition(part: _Part) -> Condition:
    if part.quoted:
        return WordIn(part.text.lower())
    if part.text.startswith(_FUZZY) and len(part.text) > len(_FUZZY):
        return LettersIn(part.text.removeprefix(_FUZZY).lower())
    field = _FIELD.fullmatch(part.text)
    if field and (parse := _FIELDS.get(field[1])):
        if not field[2]:
            raise UsageError("nothing stands behind the colon", advice=f"write {field[1]}:SOMETHING")
        return parse(field[2])
    compared = _COMPARED.fullmatch(part.text)
    if compared:
        return _parse_compared(compared)
    if field:
        raise UsageError(
            f'nothing can be asked by "{field[1]}:"',
            advice=f"use {', '.join(f'{name}:' for name in _FIELDS)}, or quote it to look for the word",
        )
    return WordIn(part.text.lower())


def _parse_compared(found: re.Match[str]) -> Condition:
    name, comparison, value = found["name"], found["by"], found["value"]
    if not value:
        raise UsageError(f'nothing stands behind "{comparison}"', advice="write a number, such as auc>0.9")
    if name.startswith(_PARAMETER) and len(name) > len(_PARAMETER):
        parameter = name.removeprefix(_PARAMETER)
        number = float(value) if _NUMBER.fullmatch(value) else None
        if number is None and comparison not in {"=", "!="}:
            advice = f"write param.{parameter}=TEXT, or a number"
            raise UsageError(f'"{displayable(value)}" is not a number', advice=advice)
        return ParameterIs(parameter, comparison, number, value)
    if name == "size":
        size = _SIZE.fullmatch(value)
        if not size or (size[3] and not size[2]):
            raise UsageError(f'"{displayable(value)}" is not a size', advice="write 10GB, 512MiB or a number of bytes")
        step = 1024 if size[3] else 1000
        return SizeIs(comparison, int(float(size[1]) * step ** _UNIT_STEPS[size[2].lower()]))
    if name == "created":
        return CreatedIs(comparison, parse_day_or_moment(value))
    if name.startswith(_LABEL) and not _NUMBER.fullmatch(value):
        label = f"label:{name.removeprefix(_LABEL)}={value}"
        raise UsageError("a label is asked about with a colon", advice=f"write {displayable(label)}")
    if name == "version":
        return VersionIs(comparison, int(_parse_number(value.removeprefix("v"))))
    return MetricIs(name, _parse_slice(found["slice"]), comparison, _parse_number(value))


def _parse_slice(text: str | None) -> Slice:
    if text is None:
        return ()
    pairs = []
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise UsageError(f'"{displayable(text)}" is not a slice', advice="write auc[age=18-25]>0.8")
        pairs.append((name, value))
    return tuple(sorted(pairs))


def _parse_number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise UsageError(f'"{displayable(text)}" is not a number', advice="write a number, such as 0.9 or 1e-3")
    return float(text)


def _parse_model_pattern(text: str) -> ModelLike:
    if not _PATTERN.fullmatch(text):
        raise UsageError(
            f'"{displayable(text)}" is not a pattern of model names', advice="write model:acme/chat or model:acme/*"
        )
    return ModelLike(text.removeprefix("default/"))


def _parse_label(text: str) -> LabelIs:
    name, equals, value = text.lower().partition("=")
    if not name:
        raise UsageError("the label has no name", advice="write label:team=risk or label:team")
    return LabelIs(name, value if equals else None)


def _parse_base(text: str) -> BaseIs:
    reference = parse_reference(text)
    match reference.selector:
        case ByVersion(version):
            return BaseIs(reference.model, version)
        case Newest():
            return BaseIs(parse_model_name(text), None)
    raise UsageError(f'"{displayable(text)}" is not a model or a version', advice="write base:acme/base:3")


_FIELDS: dict[str, Callable[[str], Condition]] = {
    "state": lambda text: StateIs(parse_state(text.lower())),
    "author": lambda text: AuthorHas(text.lower()),
    "alias": lambda text: AliasIs(parse_alias(text)),
    "model": _parse_model_pattern,
    "label": _parse_label,
    "base": _parse_base,
    "data": lambda text: DatasetHas(text.lower()),
    "notes": lambda text: NotesHave(text.lower()),
}
