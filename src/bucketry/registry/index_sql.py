"""How does a query ask the index? As SQL in which every value is a parameter, and every name is one of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.schema.query import (
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
from bucketry.schema.query_details import slice_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bucketry.schema.moments import Moment
    from bucketry.schema.query import Condition, Term


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of SQL that is true or false, and the values of its question marks."""

    sql: str
    values: tuple[object, ...] = ()


def all_of(clauses: Iterable[Clause]) -> Clause:
    """Return what holds where all hold; nothing to hold is true."""
    parts = list(clauses)
    if not parts:
        return Clause("1")
    return Clause(" AND ".join(part.sql for part in parts), tuple(value for part in parts for value in part.values))


def version_clause(term: Term, *, with_name: bool = True, of_one_model: bool = False) -> Clause:
    """Return a term as it is asked of a row `v` of `versions`, beside its row `m` of `models`.

    Words are looked for in the model's name too, unless all versions are of one model and `with_name` is False. With
    `of_one_model` a metric is looked up for each version, instead of once for all models, which also have it.
    """
    condition = term.condition
    match condition:
        case MetricIs(name, part, comparison, number) if of_one_model:
            looked_up = f"SELECT 1 FROM metrics WHERE version_id = v.id AND {_MEASURED} {_spelled(comparison)} ?"  # noqa: S608 - one of six
            clause = Clause(f"EXISTS ({looked_up})", (name, slice_text(part), number))
        case WordIn(word):
            clause = _text_clause(_WORD, word, with_name=with_name)
        case LettersIn(letters):
            clause = _text_clause(_LETTERS, letters, with_name=with_name)
        case _:
            clause = _version_clause(condition)
    return Clause(f"NOT ({clause.sql})", clause.values) if term.negated else clause


def model_clause(term: Term) -> Clause | None:
    """Return a term that can be asked of a model itself, a row `m` of `models`; None for one about its versions."""
    clause = _model_clause(term.condition)
    if clause is None:
        return None
    return Clause(f"NOT ({clause.sql})", clause.values) if term.negated else clause


def _model_clause(condition: Condition) -> Clause | None:
    match condition:
        case WordIn(word):
            return Clause(_WORD.format("m.name"), (word,))
        case LettersIn(letters):
            return Clause(_LETTERS.format("m.name"), (letters,))
        case ModelLike(pattern):
            return Clause("m.name GLOB ?", (pattern,))
        case AliasIs(alias):
            return Clause(
                "m.name IN (SELECT a.model FROM aliases a WHERE a.alias = ? AND a.version IS NOT NULL)",
                (alias,),
            )
    return None


_WORD, _LETTERS = "instr({}, ?) > 0", "has_letters({}, ?)"
"""How a text is looked into; `has_letters` is a function of ours, which every connection to the index has."""


_MEASURED = "name = ? AND slice = ? AND value"


def _text_clause(looked: str, wanted: str, *, with_name: bool) -> Clause:
    named = f"SELECT a.model, a.version FROM aliases a WHERE a.version IS NOT NULL AND {looked.format('a.alias')}"  # noqa: S608 - values are parameters
    sql = f"{looked.format('v.words')} OR (m.name, v.version) IN ({named})"
    if with_name:
        return Clause(f"({sql} OR {looked.format('m.name')})", (wanted, wanted, wanted))
    return Clause(f"({sql})", (wanted, wanted))


def _version_clause(condition: Condition) -> Clause:  # noqa: PLR0911 - one for each kind
    match condition:
        case StateIs(state):
            return Clause("v.state = ?", (state.value,))
        case AuthorHas(text):
            return Clause("instr(v.author, ?) > 0", (text,))
        case AliasIs(alias):
            return Clause(
                "(m.name, v.version) IN"
                " (SELECT a.model, a.version FROM aliases a WHERE a.version IS NOT NULL AND a.alias = ?)",
                (alias,),
            )
        case ModelLike(pattern):
            return Clause("m.name GLOB ?", (pattern,))
        case SizeIs(comparison, size_bytes):
            return Clause(f"v.size_bytes {_spelled(comparison)} ?", (size_bytes,))
        case VersionIs(comparison, version):
            return Clause(f"v.version {_spelled(comparison)} ?", (version,))
        case CreatedIs(comparison, moment):
            return _moment_clause(comparison, moment)
        case NotesHave(text):
            return Clause("instr(v.notes, ?) > 0", (text,))
        case _:
            return _in_table(condition)


def _in_table(condition: Condition) -> Clause:  # noqa: PLR0911 - one for each kind
    """Return a condition on a table with some rows for each version, which has an index for exactly this."""
    match condition:
        case LabelIs(name, None):
            return _among("SELECT version_id FROM labels WHERE name = ?", name)
        case LabelIs(name, value):
            return _among("SELECT version_id FROM labels WHERE name = ? AND value = ?", name, value)
        case BaseIs(model, None):
            return _among("SELECT version_id FROM parents WHERE model = ?", str(model))
        case BaseIs(model, version):
            return _among("SELECT version_id FROM parents WHERE model = ? AND version = ?", str(model), version)
        case DatasetHas(text):
            return _among("SELECT version_id FROM datasets WHERE instr(name, ?) > 0", text)
        case MetricIs(name, part, comparison, number):
            return _among(
                f"SELECT version_id FROM metrics WHERE {_MEASURED} {_spelled(comparison)} ?",  # noqa: S608 - one of six
                name,
                slice_text(part),
                number,
            )
        case ParameterIs():
            return _parameter_clause(condition)
    raise AssertionError(f"{condition} is asked of no table")


def _parameter_clause(condition: ParameterIs) -> Clause:
    begin = "SELECT version_id FROM parameters WHERE name = ?"
    name, text, number = condition.name, condition.text, condition.number
    if condition.comparison == "=":
        return _among(f"{begin} AND (text = ? OR number = ?)", name, text, number)
    if condition.comparison == "!=":
        return _among(f"{begin} AND text <> ? AND (number IS NULL OR number IS NOT ?)", name, text, number)
    return _among(f"{begin} AND number {_spelled(condition.comparison)} ?", name, number)


def _moment_clause(comparison: str, moment: Moment) -> Clause:
    match comparison:
        case "<":
            return Clause("v.created_us < ?", (moment.first_us,))
        case "<=":
            return Clause("v.created_us < ?", (moment.after_us,))
        case ">":
            return Clause("v.created_us >= ?", (moment.after_us,))
        case ">=":
            return Clause("v.created_us >= ?", (moment.first_us,))
        case "=":
            return Clause("(v.created_us >= ? AND v.created_us < ?)", (moment.first_us, moment.after_us))
    return Clause("(v.created_us < ? OR v.created_us >= ?)", (moment.first_us, moment.after_us))


def _among(select: str, *values: object) -> Clause:
    return Clause(f"v.id IN ({select})", values)


def _spelled(comparison: str) -> str:
    """Return the comparison as SQL spells it, which is as we do; anything but ours is a bug."""
    if comparison not in COMPARISONS:
        raise AssertionError(comparison)
    return comparison
