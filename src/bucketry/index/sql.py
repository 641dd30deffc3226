"""Writes a query as SQL, in which every value is a parameter and every name is one of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.schema.search.details import slice_text
from bucketry.schema.search.match import has_letters
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
    from collections.abc import Callable, Iterable

    from bucketry.schema.moments import Moment
    from bucketry.schema.names import ModelName
    from bucketry.schema.search.query import Condition, Term


@frozen
class Clause:
    """A piece of SQL that is true or false, and the values of its question marks."""

    sql: str
    values: tuple[object, ...] = ()


NOT_DELETED = Clause("v.state <> 'deleted'")


def all_of(clauses: Iterable[Clause]) -> Clause:
    """Return what holds where all hold; nothing to hold is true."""
    parts = list(clauses)
    if not parts:
        return Clause("1")
    return Clause(" AND ".join(part.sql for part in parts), tuple(value for part in parts for value in part.values))


def version_clause(term: Term, *, with_name: bool = True) -> Clause:
    """Return a term as it is asked of a row `v` of `versions`, beside its row `m` of `models`.

    Words are looked for in the model's name too, unless all versions are of one model and `with_name` is False.
    """
    condition = term.condition
    match condition:
        case WordIn() | LettersIn():
            looked = _looked(condition)
            words, alias = looked("v.words"), looked("a.alias")
            named = f"SELECT a.model, a.version FROM aliases a WHERE a.version IS NOT NULL AND {alias.sql}"  # noqa: S608 - values are parameters
            either = [words, Clause(f"(m.name, v.version) IN ({named})", alias.values)]
            if with_name:
                either.append(looked("m.name"))
            clause = Clause(
                f"({' OR '.join(each.sql for each in either)})", tuple(one for each in either for one in each.values)
            )
        case _:
            clause = _version_clause(condition)
    return _negated(clause) if term.negated else clause


def version_clause_of(model: ModelName, term: Term) -> Clause:
    """Return a term as it is asked of a row `v` of `versions`, all of this model: of its name once, not of each."""
    condition, name = term.condition, str(model)
    match condition:
        case WordIn(text) if text in name:
            clause = Clause("1")
        case LettersIn(text) if has_letters(name, text):
            clause = Clause("1")
        case WordIn() | LettersIn():
            words, alias = _looked(condition)("v.words"), _looked(condition)("a.alias")
            named = f"SELECT a.version FROM aliases a WHERE a.model = ? AND a.version IS NOT NULL AND {alias.sql}"  # noqa: S608 - values are parameters
            clause = Clause(f"({words.sql} OR v.version IN ({named}))", (*words.values, name, *alias.values))
        case _:
            clause = _version_clause(condition)
    return _negated(clause) if term.negated else clause


def metric_clause(condition: MetricIs) -> Clause:
    """Return what is asked of a row of `metrics`."""
    values = (condition.name, slice_text(condition.slice), condition.number)
    return Clause(f"name = ? AND slice = ? AND value {_spelled(condition.comparison)} ?", values)


def model_clause(term: Term) -> Clause | None:
    """Return a term that can be asked of a model itself, a row `m` of `models`; None for one about its versions."""
    condition = term.condition
    match condition:
        case WordIn() | LettersIn():
            clause = _looked(condition)("m.name")
        case ModelLike(pattern):
            clause = Clause("m.name GLOB ?", (pattern,))
        case AliasIs(alias):
            named = "SELECT a.model FROM aliases a WHERE a.alias = ? AND a.version IS NOT NULL"
            clause = Clause(f"m.name IN ({named})", (alias,))
        case _:
            return None
    return _negated(clause) if term.negated else clause


def models_clause(terms: Iterable[Term], *, with_deleted: bool) -> Clause:
    """Return what is asked of rows `m` of `models`: what can be of themselves, all else of one of their versions.

    Of a model whose head cannot be read nobody knows which versions it has.
    """
    clauses: list[Clause] = []
    of_versions: list[Clause] = []
    for term in terms:
        own = model_clause(term)
        if own is not None:
            clauses.append(own)
        else:
            of_versions.append(version_clause(term))
    if of_versions:
        inner = all_of(of_versions if with_deleted else [*of_versions, NOT_DELETED])
        # Asked for each model, it would go through every version in that state, say, for each of ten thousand.
        sql = f"(m.damaged <> '' OR m.id IN (SELECT v.model_id FROM versions v WHERE {inner.sql}))"  # noqa: S608 - values are parameters
        clauses.append(Clause(sql, inner.values))
    return all_of(clauses)


def _negated(clause: Clause) -> Clause:
    return Clause(f"NOT ({clause.sql})", clause.values)


def _looked(condition: WordIn | LettersIn) -> Callable[[str], Clause]:
    """Return how a text, by its SQL, is looked into.

    `has_letters` is a function of ours, which every connection to the index has. A call of it takes as long as ten of
    GLOB, which finds the letters in any lines: most texts do not get as far as the call.
    """
    if isinstance(condition, WordIn):
        return lambda text: Clause(f"instr({text}, ?) > 0", (condition.word,))
    letters = condition.letters
    pattern = "*".join(["", *(f"[{letter}]" if letter in "*?[" else letter for letter in letters), ""])
    return lambda text: Clause(f"({text} GLOB ? AND has_letters({text}, ?))", (pattern, letters))


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
        case MetricIs():
            asked = metric_clause(condition)
            return _among(f"SELECT version_id FROM metrics WHERE {asked.sql}", *asked.values)  # noqa: S608 - values are parameters
        case ParameterIs():
            begin = "SELECT version_id FROM parameters WHERE name = ?"
            name, text, number = condition.name, condition.text, condition.number
            if condition.comparison == "=":
                return _among(f"{begin} AND (text = ? OR number = ?)", name, text, number)
            if condition.comparison == "!=":
                return _among(f"{begin} AND text <> ? AND (number IS NULL OR number IS NOT ?)", name, text, number)
            return _among(f"{begin} AND number {_spelled(condition.comparison)} ?", name, number)
    raise AssertionError(f"{condition} is asked of no table")


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
