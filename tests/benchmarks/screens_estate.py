"""What do the screens of a large registry stand on? Documents as the schema makes them, written straight to a folder.

One model has all the versions, thousands have a few. Publishing them one by one would take hours; what lies in the
folder afterwards is what they would have left, but that versions share a few manifests and one card.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.clock import format_time
from bucketry.registry.core.opening import create_registry, open_session
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.alias import AliasRegister, AliasTarget, encode_alias
from bucketry.schema.documents.audit import NO_RECORD, Record, Trail
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.head import Head, Row, SealedPages, encode_head
from bucketry.schema.documents.manifest import Artifact, Chunks, Manifest, Training, encode_manifest
from bucketry.schema.documents.pages import ROWS_KEPT, Directory, Page, encode_directory, encode_page, entry_of
from bucketry.schema.documents.placement import encode_placement
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.store.contract import Unconditional
from bucketry.store.folder.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.registry.core.session import Session

LARGE = ModelName("default", "credit-risk")
PRODUCTION, STAGING = AliasName("production"), AliasName("staging")
MANIFESTS = 32
MOST_VERSIONS_OF_OTHERS = 12
CARD_BYTES = 40_000
AUTHORS = ("ci-1@example.org", "ci-2@example.org", "ci-3@example.org", "ada@example.org", "grace@example.org")
TEAMS = ("fraud", "pricing", "search", "vision")
STATES = (*[State.REGISTERED] * 12, State.IN_REVIEW, *[State.APPROVED] * 5, State.REJECTED, State.RETIRED)
CHUNK_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Estate:
    """A registry in a folder; `newest` is the newest version of the large model."""

    folder: Path
    versions: int
    models: int


def build_estate(folder: Path, *, versions: int, models: int) -> Estate:
    """Make a registry with so many versions of one model, and so many models in all."""
    create_registry(str(folder), identity="benchmark@example.org")
    work = _Building(open_session(str(folder)), FolderStore(folder, durable=False), random.Random(versions))
    work.build_large(versions)
    for number in range(models - 1):
        work.build_small(ModelName(f"team-{number % 40:02}", f"model-{number:05}"))
    return Estate(folder, versions, models)


def card_text(size_bytes: int = CARD_BYTES) -> str:
    """Return a model card of this size with everything that cards have: headings, lists, code, tables."""
    table = "| slice | n | auc |\n|---|---|---|\n" + "".join(
        f"| age {n} | {n * 37} | 0.9{n} |\n" for n in range(10, 30)
    )
    code = "```python\nimport bucketry\nprint(bucketry.open('s3://models').resolve('credit-risk@production'))\n```\n"
    prose = "Scores **card payments** by their risk; see [the guide](https://example.org/guide). " * 6
    parts, size = ["---\nlicense: apache-2.0\n---\n# Credit risk\n"], 0
    for number in range(1, size_bytes):
        part = f"\n## Section {number}\n\n{prose}\n\n- one\n- two with `code`\n\n{table if number % 3 == 0 else code}"
        size += len(part)
        if size > size_bytes:
            break
        parts.append(part)
    return "".join(parts)


class _Building:
    """One run of the builder."""

    def __init__(self, session: Session, store: FolderStore, rng: random.Random) -> None:
        self._registry = session.registry.registry
        self._store = store
        self._rng = rng
        self._begin = datetime.now(UTC) - timedelta(days=900)

    def build_large(self, count: int) -> None:
        manifests = self._put_manifests(LARGE, MANIFESTS)
        rows = [self._row(LARGE, number, manifests, step=timedelta(minutes=12)) for number in range(1, count + 1)]
        sealed = rows[:-ROWS_KEPT]
        entries = []
        for begin in range(0, len(sealed), ROWS_KEPT):
            page = tuple(sealed[begin : begin + ROWS_KEPT])
            entries.append(entry_of(page, self._put_page(LARGE, encode_page(Page(page)))))
        where = SealedPages()
        if entries:
            where = SealedPages(len(sealed), self._put_page(LARGE, encode_directory(Directory(tuple(entries)))))
        aliases = {PRODUCTION: rows[-7], STAGING: rows[-3]} if count > ROWS_KEPT else {}
        self._put_model(LARGE, rows[-ROWS_KEPT:], where, aliases)

    def build_small(self, model: ModelName) -> None:
        count = self._rng.randint(1, MOST_VERSIONS_OF_OTHERS)
        manifests = self._put_manifests(model, 1)
        rows = [self._row(model, number, manifests, step=timedelta(days=60)) for number in range(1, count + 1)]
        self._put_model(model, rows, SealedPages(), {PRODUCTION: rows[-1]} if self._rng.random() < 0.5 else {})

    def _row(self, model: ModelName, version: int, manifests: Sequence[Digest], *, step: timedelta) -> Row:
        rng = self._rng
        return Row(
            version=version,
            manifest=manifests[version % len(manifests)],
            placement=encode_placement([1]),
            size_bytes=rng.randrange(10**9, 10**11),
            created_at=format_time(self._begin + version * step),
            created_by=rng.choice(AUTHORS),
            state=rng.choice(STATES),
            metrics={"auc": round(rng.uniform(0.85, 0.95), 4), "p95_ms": round(rng.uniform(35, 60), 1)},
            base=f"{model}:{version - 1}" if version > 1 else None,
            labels={"team": rng.choice(TEAMS)},
        )

    def _put_manifests(self, model: ModelName, count: int) -> list[Digest]:
        card = card_text().encode()
        artifact = _artifact("README.md", card)
        if model == LARGE:
            self._put(keys.blob(model, 1, artifact.sha256), card)
        found = []
        for number in range(count):
            manifest = Manifest(
                model=model,
                created_at=format_time(self._begin + timedelta(minutes=number)),
                created_by=AUTHORS[number % len(AUTHORS)],
                artifacts=(artifact,),
                training=Training({"lr": 0.001 * (number + 1), "seed": number}),
                evidence_at_publish=(
                    Evidence("automated", (Metric("auc", 0.9 + number / 1000), Metric("p95_ms", 44))),
                ),
                card="README.md",
            )
            body = encode_manifest(manifest)
            self._put(keys.manifest(model, digest_of(body)), body)
            found.append(digest_of(body))
        return found

    def _put_page(self, model: ModelName, body: bytes) -> Digest:
        self._put(keys.page(model, digest_of(body)), body)
        return digest_of(body)

    def _put_model(
        self, model: ModelName, rows: Sequence[Row], sealed: SealedPages, aliases: dict[AliasName, Row]
    ) -> None:
        trail = self._trail("publish", rows[-1])
        head = Head(self._registry, model, next_version=rows[-1].version + 1, rows=tuple(rows), sealed=sealed)
        self._put(keys.head(model), encode_head(replace(head, aliases=tuple(aliases), trail=trail)))
        for alias, row in aliases.items():
            target = AliasTarget(row.version, row.manifest, row.placement, row.state)
            register = AliasRegister(self._registry, model, alias, target, trail=self._trail("promote", row))
            self._put(keys.alias(model, alias), encode_alias(register))

    def _trail(self, action: str, row: Row) -> Trail:
        return Trail(
            (Record(1, uuid.uuid4().hex, row.created_at, row.created_by, action, str(row.version), NO_RECORD),)
        )

    def _put(self, key: str, body: bytes) -> None:
        self._store.put(key, body, Unconditional())


def _artifact(path: str, body: bytes) -> Artifact:
    digest = Digest(hashlib.sha256(body).hexdigest())
    return Artifact(path, len(body), digest, "text/markdown", Chunks(CHUNK_BYTES, (digest,), ("0" * 32,)))
