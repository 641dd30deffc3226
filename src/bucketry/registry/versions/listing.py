"""Lists the models and versions that there are, and a metric over them."""

from __future__ import annotations

from dataclasses import field, replace
from itertools import islice
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, BucketryError, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.registers import find_head, load_head
from bucketry.registry.core.resolve import load_evidence, load_manifest
from bucketry.registry.core.rows import DamagedRow, iter_known_rows, load_added_evidence, load_dossier
from bucketry.registry.serving.known_aliases import look_at_aliases
from bucketry.schema import keys
from bucketry.schema.documents.evidence import headline_values
from bucketry.schema.documents.states import State
from bucketry.schema.search.details import details_of
from bucketry.schema.search.match import Candidate, fits
from bucketry.schema.search.query import parse_query
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.known_aliases import KnownAliases
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.judging.trend import Trend
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.schema.search.query import Query

DETAILS_AT_ONCE = 64
"""Of so many versions manifest and evidence are read before the first of them is looked at."""

MOST_LOOKED_INTO = 512
"""Of the versions whose row does not show the metric, so many of the newest have their evidence read."""


@frozen
class ModelSummary:
    """A model in a list. `versions` counts all numbers ever given; `newest` is None for a model without versions.

    Where its head cannot be read, `damaged` says why, and what only the head says is None. `damaged_aliases` are those
    whose registers cannot be read, each with the reason.
    """

    model: ModelName
    versions: int | None
    newest: int | None
    aliases: tuple[AliasRegister, ...]
    updated_at: str | None
    description: str | None
    damaged: str = ""
    damaged_aliases: Mapping[AliasName, str] = field(default_factory=dict)


@frozen
class VersionSummary:
    """A version in a list: its number, its row, and the aliases that name it.

    `damaged` says what of it cannot be read, and is empty if that is nothing; without a row only the number is known.
    """

    version: int
    row: Row | None
    aliases: tuple[AliasRegister, ...]
    damaged: str = ""


def iter_model_names(session: Session) -> Iterator[ModelName]:
    """Yield the names of all models in the order of their keys, from a listing of `heads/` alone.

    Those that were deleted are among them.
    """
    for entry in session.store.list(keys.HEADS):
        if isinstance(entry, Entry):
            try:
                model = keys.model_of_head(entry.key)
            except BucketryError:
                continue  # not a name of ours: fsck reports it
            if model is not None:
                yield model


def is_deleted(session: Session, model: ModelName) -> bool:
    """Return whether a model was deleted as a whole; one that cannot be read is taken to be there."""
    try:
        head = load_head(session, model).state
    except UNREADABLE:
        return False
    return head is not None and head.deleted


def list_models(
    session: Session,
    *,
    query: str = "",
    with_aliases: bool = True,
    limit: int | None = None,
    after: ModelName | None = None,
) -> list[ModelSummary]:
    """Return the models whose name contains every word of the query, in the order of their names.

    At most `limit` are returned, from the first behind `after` on, and only their heads are read, but for those of
    models that were deleted. One that cannot be read, or is gone while its aliases are there, is returned as damaged.
    """
    _ = session.registry  # no list must hide a registry that does not exist, or blame its models for its own damage
    words = query.lower().split()
    set_aliases = _set_aliases(session) if with_aliases else {}
    names = {*iter_model_names(session), *set_aliases}
    wanted = sorted((name for name in names if all(word in str(name) for word in words)), key=str)
    wanted = [name for name in wanted if after is None or str(name) > str(after)]
    most = len(wanted) if limit is None else limit
    found: list[ModelSummary] = []

    def look(name: ModelName) -> Head | str | None:
        """Return a model's head, or why it cannot be read; None for a model that is not there."""
        try:
            return find_head(session, name)
        except UNREADABLE as error:
            return reason_of(error)

    while wanted and len(found) < most:  # bounded by the names
        batch, wanted = wanted[: most - len(found)], wanted[most - len(found) :]
        read = session.map_in_parallel(look, batch)
        found += [
            _summary(session, name, head, set_aliases.get(name, ()), with_aliases=with_aliases)
            for name, head in zip(batch, read, strict=True)
            if head is not None
        ]
    return found


def iter_versions(
    session: Session, head: Head, *, query: str = "", aliases: KnownAliases | None = None
) -> Iterator[VersionSummary]:
    """Yield the versions of a model that fit a query (`schema/search/query.py`), newest first.

    Deleted ones are left out unless they are asked for. A query about more than rows costs the manifest and the
    evidence of each version that fits as far as its row says. What cannot be read is yielded as damaged: nobody knows
    whether it fits. `aliases` are the model's, where the caller has them.
    """
    asked = parse_query(query)
    named: dict[int, list[AliasRegister]] = {}
    known = aliases or look_at_aliases(session, head.model, head.aliases)
    for register in known.registers:
        if register.target is not None:
            named.setdefault(register.target.version, []).append(register)
    found: Iterator[Row | DamagedRow] = (
        row
        for row in iter_known_rows(session, head)
        if isinstance(row, DamagedRow)
        or (
            (row.state is not State.DELETED or asked.asks_for_deleted)
            and fits(asked.of_rows, _candidate(head, row, named))
        )
    )
    if asked.needs_details:
        found = _iter_fitting_details(session, head, found, asked, named)
    for row in found:
        names = tuple(named.get(row.version, ()))
        if isinstance(row, DamagedRow):
            yield VersionSummary(row.version, row.row, names, row.reason)
        else:
            yield VersionSummary(row.version, row, names)


def load_trend(session: Session, head: Head, rows: Sequence[Row], metric: str) -> Trend:
    """Return the metric's value over the whole data in each row: from the row, else from the version's evidence.

    Costs nothing for versions that have it among their headline metrics; others take three reads each, many at once. A
    version whose evidence cannot be read stops no other.
    """
    from bucketry.schema.judging.trend import make_trend  # noqa: PLC0415 - few lists are of one metric

    without = sorted((row for row in rows if metric not in row.metrics), key=lambda row: -row.version)
    hidden = without[:MOST_LOOKED_INTO]

    def look(row: Row) -> float | str | None:
        try:
            return headline_values(load_evidence(session, head, row)).get(metric)
        except UNREADABLE as error:
            return reason_of(error)

    looked_up = session.map_in_parallel(look, hidden)
    read = {row.version: value for row, value in zip(hidden, looked_up, strict=True)}
    found = {version: value for version, value in read.items() if not isinstance(value, str)}
    damaged = {version: why for version, why in read.items() if isinstance(why, str)}
    values = [(row.version, row.metrics.get(metric, found.get(row.version))) for row in rows]
    return make_trend(metric, values, unread=len(without) - len(hidden), damaged=damaged)


def _set_aliases(session: Session) -> dict[ModelName, list[AliasName]]:
    """Return which aliases have registers, from a listing alone: they witness models whose heads are gone."""
    found: dict[ModelName, list[AliasName]] = {}
    for entry in session.store.list(keys.ALIASES):
        place = keys.find_alias_place(entry.key) if isinstance(entry, Entry) else None
        if place is not None:
            found.setdefault(place[0], []).append(place[1])
    return found


def _summary(
    session: Session, model: ModelName, head: Head | str, names: Sequence[AliasName], *, with_aliases: bool
) -> ModelSummary:
    """Return a model in a list; of one whose head cannot be read (why is said in its place), by its aliases' names."""
    if isinstance(head, str):
        aliases = look_at_aliases(session, model, names)
        return ModelSummary(model, None, None, aliases.registers, None, None, head, aliases.damaged)
    newest = next((row.version for row in reversed(head.rows) if row.state is not State.DELETED), None)
    aliases = look_at_aliases(session, head.model, head.aliases if with_aliases else ())
    return ModelSummary(
        model=head.model,
        versions=head.next_version - 1,
        newest=newest,
        aliases=aliases.registers,
        updated_at=head.trail.records[-1].at if head.trail.records else "",
        description=head.description,
        damaged_aliases=aliases.damaged,
    )


def _candidate(head: Head, row: Row, named: Mapping[int, Sequence[AliasRegister]]) -> Candidate:
    aliases = [register.alias for register in named.get(row.version, ())]
    return Candidate(head.model, row, aliases, with_name=False)


def _iter_fitting_details(
    session: Session,
    head: Head,
    rows: Iterator[Row | DamagedRow],
    asked: Query,
    named: Mapping[int, Sequence[AliasRegister]],
) -> Iterator[Row | DamagedRow]:
    """Yield the rows whose manifest and evidence fit too, which are read for many at once."""

    def fitting(row: Row | DamagedRow) -> Row | DamagedRow | None:
        if isinstance(row, DamagedRow):
            return row
        try:
            dossier = load_dossier(session, head, row)
            manifest = load_manifest(session, head.model, row.manifest)
            evidence = (*manifest.evidence_at_publish, *load_added_evidence(session, dossier))
        except UNREADABLE as error:
            return DamagedRow(row.version, reason_of(error), row)
        details = details_of(row, manifest, dossier, evidence)
        return row if fits(asked, replace(_candidate(head, row, named), details=details)) else None

    while batch := list(islice(rows, DETAILS_AT_ONCE)):  # bounded by the rows
        yield from (row for row in session.map_in_parallel(fitting, batch) if row is not None)
