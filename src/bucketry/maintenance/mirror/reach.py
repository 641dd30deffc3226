"""Brings all that the registers of a model name, as far as the replica's own registers do not name it already.

What a replica's register names is there, so only the difference is walked: of a model with 100,000 versions and one
new one, that is a page directory and one version. Where nobody knows whether that promise holds (another selection, an
interrupted mirror, `--full`), there is nothing to compare with, and everything is walked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.maintenance.mirror.carry import Holdings, Named, named_by_digest
from bucketry.registry.core.registers import load_directory
from bucketry.registry.core.rows import find_row, load_dossier, load_page
from bucketry.schema import keys
from bucketry.schema.documents.audit import AuditAction, block_starts, decode_block
from bucketry.schema.documents.dossier import decode_dossier
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.pages import Directory, decode_directory, decode_page
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.states import BLOBS_KEPT, State
from bucketry.schema.names import parse_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bucketry.maintenance.mirror.carry import Carrier
    from bucketry.maintenance.mirror.cut import Cut, HeldRegister
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.manifest import Artifact, Manifest
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.documents.replica import Selection
    from bucketry.schema.names import Digest, ModelName

ROWS_AT_ONCE = 256
FREED = frozenset({State.DELETING, State.DELETED})


@dataclass(slots=True)
class Reach:
    """The walk over one model: from `cut`, the source's registers, and `before`, what the replica has and is trusted.

    `parents` are the other models that new versions are made from, `dependents` those that were made from versions
    which are given up now.
    """

    carrier: Carrier
    selection: Selection
    cut: Cut
    before: Cut | None
    there: Holdings
    parents: set[ModelName] = field(default_factory=set)
    dependents: set[ModelName] = field(default_factory=set)
    _known_rows: dict[int, Row] = field(default_factory=dict)

    @property
    def model(self) -> ModelName:
        """The model that is walked."""
        return self.cut.model

    def bring(self) -> None:
        """Bring everything; the bytes of artifacts wait in the carrier."""
        before = {held.key: held for held in self.before.registers} if self.before else {}
        for held in self.cut.registers:
            self._bring_story(held, before.get(held.key))
        policy = self.cut.state.policy
        if policy is not None and (self.before is None or policy != self.before.state.policy):
            self.carrier.bring_unread([Named(keys.policy(policy), policy)], self.there)
        for rows in self._new_rows():
            self._bring_rows(rows)
        for held in self.cut.aliases:
            self._bring_target(held, before.get(held.key))

    def _bring_story(self, held: HeldRegister, before: HeldRegister | None) -> None:
        """Bring the sealed audit records, and the notes and policies that records name."""
        old = before.trail.generation if before else 0
        starts = [first for first in block_starts(held.trail) if not before or first not in block_starts(before.trail)]
        named = [Named(held.register.history_key(first)) for first in starts]
        blocks = [
            decode_block(body, what=one.key)
            for one, body in zip(named, self.carrier.bring(named, self.there), strict=True)
        ]
        records = [*(record for block in blocks for record in block), *held.trail.records]
        if any(after.previous != earlier.digest for earlier, after in pairwise(records)):
            raise CorruptError(
                f"the audit records of {held.key} do not follow from each other",
                advice="run `bucketry fsck` at the source",
            )
        new = [record for record in records if record.generation > old]
        notes = _named_in(new, "note")
        policies = _named_in((one for one in new if one.action == AuditAction.SET_POLICY), "policy")
        documents = named_by_digest(notes, partial(keys.page, self.model)) + named_by_digest(policies, keys.policy)
        self.carrier.bring_unread(documents, self.there)

    def _new_rows(self) -> Iterable[Sequence[Row]]:
        """Yield the rows that the replica does not have like this, some at a time; bring the pages of sealed ones."""
        head, digest = self.cut.state, self.cut.state.sealed.directory
        directory, old = Directory(), Directory()
        if digest is not None:
            key = keys.page(self.model, digest)
            [body] = self.carrier.bring([Named(key, digest)], self.there)
            directory = decode_directory(body, what=key)
        if self.before is not None:
            old = load_directory(self.carrier.target, self.before.state)
            self._know(self.before.state.rows)
        kept = {entry.page for entry in directory.entries} & {entry.page for entry in old.entries}
        for entry in old.entries if self.before else ():
            if entry.page not in kept and self.before is not None:
                self._know(load_page(self.carrier.target, self.before.state, entry).rows)
        for entry in directory.entries:
            if entry.page not in kept:
                key = keys.page(self.model, entry.page)
                [body] = self.carrier.bring([Named(key, entry.page)], self.there)
                yield from self._unknown(decode_page(body, what=key).rows)
        yield from self._unknown(head.rows)

    def _know(self, rows: Iterable[Row]) -> None:
        self._known_rows.update((row.version, row) for row in rows)

    def _unknown(self, rows: Iterable[Row]) -> Iterable[list[Row]]:
        unknown = (row for row in rows if self._known_rows.get(row.version) != row)
        while some := list(islice(unknown, ROWS_AT_ONCE)):  # bounded by the rows
            yield some

    def _bring_rows(self, rows: Sequence[Row]) -> None:
        self._bring_dossiers(rows)
        new = [row for row in rows if not self._is_same(row)]
        manifests = self._manifests([row.manifest for row in new])
        for row in new:
            manifest = manifests[row.manifest]
            if row.state in BLOBS_KEPT:
                self.parents.update(parent.model for parent in manifest.lineage.parents if parent.model != self.model)
                if not self.selection.aliases:
                    self._bring_files(row.placement, manifest, f"{self.model}:{row.version}")

    def _is_same(self, row: Row) -> bool:
        """Return whether the replica has the manifest of a row, and the bytes where it places them."""
        known = self._known_rows.get(row.version)
        return known is not None and (known.manifest, known.placement) == (row.manifest, row.placement)

    def _bring_dossiers(self, rows: Sequence[Row]) -> None:
        """Bring what was added to versions, and note what must be told first where one of them was given up."""
        known = {row.version: self._known_rows.get(row.version) for row in rows}
        cited: set[str] = set()
        for row in rows:
            old = known[row.version]
            if old is not None and old.dossier is not None and self.before is not None:
                dossier = load_dossier(self.carrier.target, self.before.state, old)
                cited.update(one.key for one in (*dossier.evidence, *dossier.reviews))
                if row.state in FREED:
                    self.dependents.update(pin.model for pin in dossier.dependents if pin.model != self.model)
        digests = [
            row.dossier
            for row in rows
            if row.dossier is not None and row.dossier != (old.dossier if (old := known[row.version]) else None)
        ]
        named = named_by_digest(digests, partial(keys.page, self.model))
        documents: list[Named] = []
        for one, body in zip(named, self.carrier.bring(named, self.there), strict=True):
            dossier = decode_dossier(body, what=one.key)
            documents += [
                Named(item.key, item.sha256)
                for item in (*dossier.evidence, *dossier.reviews)
                if item.key not in cited and keys.is_cited_key(item.key, item.sha256)
            ]
        self.carrier.bring_unread(documents, self.there)

    def _manifests(self, digests: Iterable[Digest]) -> dict[Digest, Manifest]:
        named = named_by_digest(digests, partial(keys.manifest, self.model))
        bodies = self.carrier.bring(named, self.there)
        return {
            one.digest: decode_manifest(body, what=one.key, model=self.model)
            for one, body in zip(named, bodies, strict=True)
            if one.digest is not None
        }

    def _bring_target(self, held: HeldRegister, before: HeldRegister | None) -> None:
        """Bring the bytes of what an alias names: where it has another placement than the row, or only those count."""
        target = held.state.target
        same = before is not None and before.state.target == target
        if target is None or same or not self.selection.holds_bytes_of(held.state.alias):
            return
        head = self.cut.state
        row = find_row(self.carrier.source, head, target.version)
        if self.selection.aliases or row is None or row.placement != target.placement:
            manifest = self._manifests([target.manifest])[target.manifest]
            self._bring_files(target.placement, manifest, f"{self.model}@{held.state.alias}")

    def _bring_files(self, placement: Placement, manifest: Manifest, what: str) -> None:
        epochs = decode_placement(placement, artifacts=len(manifest.artifacts), what=what)
        named: dict[str, Artifact] = {
            keys.blob(self.model, epoch, artifact.sha256): artifact
            for epoch, artifact in zip(epochs, manifest.artifacts, strict=True)
        }
        self.carrier.bring_files(named, self.there)


def _named_in(records: Iterable[Record], field_name: str) -> list[Digest]:
    """Return the digests that a field of some records' details holds."""
    found = (record.detail.get(field_name) for record in records)
    return [parse_digest(str(text)) for text in found if text is not None]
