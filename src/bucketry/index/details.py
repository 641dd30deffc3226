"""Reads what can be asked about a version, and writes it into the local index.

Its manifest is read once, as it never changes; its evidence whenever its dossier is another one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.index.damage import write_damages
from bucketry.index.rows import NOTHING_READ, PUT_METRIC, forget_details, write_headline
from bucketry.index.sql import Clause, all_of
from bucketry.registry.core.rows import load_added_evidence
from bucketry.schema import keys
from bucketry.schema.documents.dossier import Dossier, decode_dossier
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.names import Digest, ModelName, parse_model_name
from bucketry.schema.search.details import (
    MeasuredValue,
    dataset_names,
    flat_parameters,
    fold_metrics,
    parameter_number,
    parameter_text,
    parse_slice_text,
    slice_text,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session
    from bucketry.schema.search.details import MetricKey

_PARSING = threading.Lock()
"""One manifest is parsed at a time: threads gain nothing there, and 16 of 8 MiB would fill the memory."""


EVERYTHING = all_of(())


def of_model(model: ModelName) -> Clause:
    """Return the versions of a model."""
    return Clause("m.name = ?", (str(model),))


def of_rows(ids: Sequence[int]) -> Clause:
    """Return the versions with these ids in the index."""
    return Clause(f"v.id IN ({', '.join('?' * len(ids))})", tuple(ids))


def count_pending(index: Index, among: Clause = EVERYTHING) -> int:
    """Return of how many versions something is still to be read."""
    # Of all of them the index of those that wait is enough: beside the models it takes 30 times as long.
    source = "versions v" if among is EVERYTHING else "versions v JOIN models m ON m.id = v.model_id"
    sql = f"SELECT count(*) FROM {source} WHERE v.pending > 0 AND {among.sql}"  # noqa: S608 - values are parameters
    with index.reading() as connection:
        return int(connection.execute(sql, among.values).fetchone()[0])


@frozen
class ReadDetails:
    """What was read of one version: `published` and the three after it only where its manifest was read."""

    version_id: int
    dossier: Digest | None
    evidence: str
    added: Mapping[MetricKey, MeasuredValue] | None
    notes: str
    published: PublishedDetails | None


@frozen
class PublishedDetails:
    """What a manifest says that can be asked about."""

    metrics: Mapping[MetricKey, MeasuredValue]
    parameters: Mapping[str, object]
    datasets: Sequence[str]
    parents: Sequence[tuple[str, int, str]]
    notes: str


@frozen
class PendingVersion:
    """A version of which something is still to be read.

    `evidence` marks what was read of it before; `published` are the metrics of its manifest, None before that was read.
    """

    version_id: int
    model: ModelName
    manifest: Digest
    dossier: Digest | None
    evidence: str
    published: Mapping[MetricKey, MeasuredValue] | None


def iter_pending(index: Index, size: int, among: Clause = EVERYTHING) -> Iterator[list[PendingVersion]]:
    """Yield the versions of which something is still to be read, the newest first, each once, so many at a time.

    `among` is asked of a row `v` of `versions` beside its row `m` of `models`.
    """
    after = (2**62, 0)
    while True:  # bounded: each batch begins behind the one before
        with index.reading() as connection:
            found = connection.execute(
                "SELECT v.created_us, v.id, m.name, v.manifest, v.dossier, v.evidence, v.pending"  # noqa: S608 - values are parameters
                " FROM versions v JOIN models m ON m.id = v.model_id"
                f" WHERE v.pending > 0 AND (v.created_us, v.id) < (?, ?) AND {among.sql}"
                " ORDER BY v.created_us DESC, v.id DESC LIMIT ?",
                (*after, *among.values, size),
            ).fetchall()
            published = {item[1]: load_published(connection, item[1]) for item in found if item[-1] != NOTHING_READ}
        if not found:
            return
        after = found[-1][:2]
        yield [
            PendingVersion(version_id, parse_model_name(name), manifest, dossier, evidence, published.get(version_id))
            for _, version_id, name, manifest, dossier, evidence, _ in found
        ]


def read_details(session: Session, pending: PendingVersion) -> ReadDetails:
    """Read what is missing of one version; raise `CorruptError` or `NotFoundError`."""
    dossier = Dossier(pending.manifest)
    if pending.dossier is not None:
        body = session.load_document(pending.model, pending.dossier)
        dossier = decode_dossier(body, what=keys.page(pending.model, pending.dossier))
    mark = evidence_mark([cited.sha256 for cited in dossier.evidence])
    published, added = None, None
    if pending.published is None:
        body = session.load_manifest_bytes(pending.model, pending.manifest)
        with _PARSING:
            what = keys.manifest(pending.model, pending.manifest)
            manifest = decode_manifest(body, what=what, model=pending.model)
        published = PublishedDetails(
            metrics=fold_metrics({}, manifest.evidence_at_publish),
            parameters=flat_parameters(manifest.training.hyperparameters),
            datasets=dataset_names(manifest),
            parents=[(str(parent.model), parent.version, parent.relation) for parent in manifest.lineage.parents],
            notes=manifest.notes,
        )
    if published is not None or mark != pending.evidence:
        known = published.metrics if published is not None else pending.published or {}
        added = fold_metrics(known, load_added_evidence(session, dossier))
    return ReadDetails(pending.version_id, pending.dossier, mark, added, dossier.notes, published)


def write_details(connection: sqlite3.Connection, read: ReadDetails) -> bool:
    """Write what was read of a version, unless its dossier is another one by now; return whether it was written."""
    found = connection.execute("SELECT dossier, metrics FROM versions WHERE id = ?", (read.version_id,)).fetchone()
    if found is None or found[0] != read.dossier:
        return False
    published = read.published
    if published is not None:
        _write_published(connection, read.version_id, published)
    added = read.added or {}
    if published is not None or read.added is not None:
        # The values that count now: published, then what evidence says, then what the row shows.
        connection.execute("DELETE FROM metrics WHERE version_id = ? AND published IS NULL", (read.version_id,))
        connection.execute("UPDATE metrics SET value = published WHERE version_id = ?", (read.version_id,))
        connection.executemany(
            PUT_METRIC,
            ((name, slice_text(part), item.value, read.version_id) for (name, part), item in added.items()),
        )
        write_headline(connection, read.version_id, json.loads(found[1]))
    write_damages(connection, [read.version_id], "details", "")
    connection.execute(
        "UPDATE versions SET pending = 0, evidence = ?, notes = CASE WHEN ? = '' THEN published_notes ELSE ? END"
        " WHERE id = ?",
        (read.evidence, read.notes, read.notes.lower(), read.version_id),
    )
    return True


def load_published(connection: sqlite3.Connection, version_id: int) -> dict[MetricKey, MeasuredValue]:
    """Return the metrics that a version was published with."""
    found = connection.execute(
        "SELECT name, slice, published, measured_as FROM metrics WHERE version_id = ? AND published IS NOT NULL",
        (version_id,),
    )
    return {(name, parse_slice_text(text)): MeasuredValue(value, kind) for name, text, value, kind in found}


def evidence_mark(digests: Sequence[str]) -> str:
    """Return a short text that is the same for the same evidence in the same order; empty for none."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32] if digests else ""


def _write_published(connection: sqlite3.Connection, version_id: int, published: PublishedDetails) -> None:
    forget_details(connection, version_id)
    connection.executemany(
        "INSERT INTO parameters (version_id, name, number, text) VALUES (?, ?, ?, ?)",
        (
            (version_id, name, parameter_number(value), parameter_text(value))
            for name, value in published.parameters.items()
        ),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO datasets (version_id, name) VALUES (?, ?)",
        ((version_id, name.lower()) for name in published.datasets),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO parents (version_id, model, version, relation) VALUES (?, ?, ?, ?)",
        ((version_id, *parent) for parent in published.parents),
    )
    connection.executemany(
        "INSERT INTO metrics (version_id, name, slice, value, published, measured_as, model_id, version)"
        " SELECT id, ?, ?, ?, ?, ?, model_id, version FROM versions WHERE id = ?",
        (
            (name, slice_text(part), item.value, item.value, item.measured_as, version_id)
            for (name, part), item in published.metrics.items()
        ),
    )
    connection.execute("UPDATE versions SET published_notes = ? WHERE id = ?", (published.notes.lower(), version_id))
