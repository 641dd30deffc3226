"""Checks one model: its head, its versions old and new, their bytes, their dossiers and its aliases."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.maintenance.fsck.aliases import AliasCheck
from bucketry.maintenance.fsck.bases import BaseCheck, PinLedger
from bucketry.maintenance.fsck.blobs import BlobCheck, named_blobs
from bucketry.maintenance.fsck.cited import CitedCheck
from bucketry.maintenance.fsck.copies import (
    Story,
    find_alias_faults,
    find_copy_faults,
    find_dossier_faults,
    find_label_faults,
    find_metric_faults,
    is_behind,
)
from bucketry.maintenance.fsck.findings import Findings
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.policies import read_policy_changes
from bucketry.maintenance.fsck.reading import Unreadable, kind_of, list_entries, look_for, read_named, reason_of, report
from bucketry.maintenance.fsck.registers import ModelRegisters
from bucketry.maintenance.fsck.states import DECIDED, StateRule, count_refusals, newest_deciding
from bucketry.registry.core.registers import alias_register, head_register
from bucketry.registry.core.witnesses import find_alias_witness
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.alias import find_last_move
from bucketry.schema.documents.head import Row
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.pages import decode_directory, decode_page, entry_of
from bucketry.schema.documents.states import BLOBS_KEPT, State
from bucketry.schema.names import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.maintenance.fsck.cited import AddedDocuments
    from bucketry.maintenance.fsck.policies import PolicyShelf
    from bucketry.maintenance.fsck.verified import VerifiedBlobs
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.head import Head
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.documents.pages import PageEntry
    from bucketry.schema.documents.placement import Placement
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.documents.replica import Selection
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.store.contract import Object


MOVED_OTHERWISE = "What the alias says of when and by whom it was moved last is not what its audit records say."


class ModelCheck:
    """One pass over one model. `run` fills `findings`, `versions`, `size_bytes` and `pins`."""

    def __init__(
        self,
        session: Session,
        model: ModelName,
        shelf: PolicyShelf,
        registry: str | None,
        selection: Selection,
        *,
        deep: bool,
        verified: VerifiedBlobs | None = None,
    ) -> None:
        self.findings = Findings()
        self.pins = PinLedger()
        self.versions = 0
        self.size_bytes = 0
        self._session = session
        self._model = model
        self._shelf = shelf
        self._registry = registry
        self._selection = selection
        self._served: set[tuple[Digest, Placement]] = set()  # of which the selected aliases name the files
        self._deep = deep
        self._verified = verified
        self._registers = ModelRegisters(session, model, self.findings)
        self._bases = BaseCheck(session, model, self._registers, selection, self.findings)
        self._named_manifests: set[str] = set()
        self._rows: dict[int, Row] = {}
        self._decisions: dict[int, tuple[Decision, ...] | None] = {}  # of the versions that an alias names
        self._added: dict[int, AddedDocuments] = {}  # the same
        self._story: Story | None = None  # what the head's records say, if all of them are there
        self._policies: tuple[Policy, ...] | None = None  # all that ever held, if they are known
        self._has_seen_all = True  # every row, manifest and dossier: otherwise nobody knows what is garbage

    def run(self) -> None:
        """Check everything that belongs to the model."""
        # Whatever a register names was written before it: so listings first, then aliases, then the head.
        store, model = self._session.store, self._model
        manifest_keys = [entry.key for entry in list_entries(store, keys.manifests(model), self.findings)]
        blobs = BlobCheck(self._session, model, self.findings, self._verified)
        cited = CitedCheck(self._session, model, self._registry, self.findings, deep=self._deep)
        aliases = self._registers.load_aliases()
        head = self._registers.find_head(model)
        if head is None:
            return
        rule = self._check_head(head)
        named = {register.target.version for _, register in aliases if register.target is not None}
        targets = [register.target for alias, register in aliases if self._selection.holds_bytes_of(alias)]
        self._served.update((target.manifest, target.placement) for target in targets if target is not None)
        for rows in self._iter_rows(head):
            self._check_rows(rows, blobs, cited, rule, named)
        self._check_aliases(head, aliases, blobs)
        alive = [version for version, row in self._rows.items() if row.state is not State.DELETED]
        if head.deleted and alive:
            self._damage(Kind.HEAD_CONTRADICTION, f"The model is marked as deleted, and version {alive[-1]} is not.")
        if self._has_seen_all:
            self.pins.heads[model] = head.next_version
            for key in manifest_keys:
                if key not in self._named_manifests:
                    self.findings.add(Kind.DOCUMENT_UNNAMED, key, "No version has this manifest.")
            blobs.find_garbage()
            cited.find_garbage()
        if self._deep:
            blobs.compare_bytes()

    def has_moved(self) -> bool:
        """Return whether a register that this pass read has changed since."""
        return self._registers.has_moved()

    def _damage(self, kind: Kind, problem: str, key: str | None = None) -> None:
        self.findings.add(kind, key or keys.head(self._model), problem)

    # Registers

    def _check_head(self, head: Head) -> StateRule:
        """Check what the head says of the model as a whole; return how its trail decides the states of its versions."""
        key = keys.head(self._model)
        if self._registry is not None and head.registry != self._registry:
            self._damage(Kind.REGISTER_FOREIGN, f"The head belongs to the registry {head.registry}, not to this one.")
        records = self._registers.find_chain(head_register(self._session, self._model), head.trail)
        if records is None:
            if head.policy is not None:
                self._shelf.check(head.policy, self.findings)
            return StateRule(self._shelf)
        changes = read_policy_changes(key, records, head.policy, self.findings)
        own = [self._shelf.check(digest, self.findings) for digest in changes.named()]
        self._policies = self._shelf.over_defaults(own) if changes.are_all_named else None
        self._story = Story(records)
        for problem in self._story.find_head_faults(head):
            self._damage(Kind.HEAD_CONTRADICTION, problem)
        return StateRule(self._shelf, changes, newest_deciding(records), count_refusals(records))

    def _check_aliases(self, head: Head, aliases: Sequence[tuple[AliasName, AliasRegister]], blobs: BlobCheck) -> None:
        check = AliasCheck(self._session, self._model, self._registry, self._selection, self.findings)
        for alias, register in aliases:
            records = self._registers.find_chain(alias_register(self._session, self._model, alias), register.trail)
            moved = None if register.moved is None else replace(register.moved, extra={})
            if records is not None and moved != find_last_move(reversed(records)):
                self._damage(Kind.ALIAS_CONTRADICTION, MOVED_OTHERWISE, keys.alias(self._model, alias))
            if alias not in head.aliases:
                self._damage(
                    Kind.ALIAS_NOT_IN_HEAD, f"The head does not know the alias {alias}.", keys.alias(self._model, alias)
                )
            check.check(register, self._rows, self._decisions, blobs)
            self._check_alias_copies(register, records)
        present = {alias for alias, _ in aliases}
        for alias in head.aliases:
            if alias not in present:
                self._check_absent_alias(alias)

    def _check_absent_alias(self, alias: AliasName) -> None:
        """Report an alias that the head names and that has no register: a promoter died, or the register was lost."""
        key = keys.alias(self._model, alias)
        found = look_for(self._session.store, key)
        if found is not None:
            return  # unreadable, which is reported, or younger than the listing
        witness = find_alias_witness(self._session.store, self._model, alias)
        if witness:
            self._damage(Kind.REGISTER_LOST, f"The register is missing, and {witness} is there.", key)
        else:
            self.findings.add(
                Kind.ALIAS_UNSET,
                key,
                f"The head names the alias {alias}, which has no register: its first promotion did not end, or it was "
                "lost.",
                model=self._model,
                alias=alias,
            )

    def _check_alias_copies(self, register: AliasRegister, records: Sequence[Record] | None) -> None:
        key, target = keys.alias(self._model, register.alias), register.target
        row = self._rows.get(target.version) if target is not None else None
        if records is None or (target is not None and row is None):
            return  # both reported
        protects = None if self._policies is None else [p.protects(register.alias) for p in self._policies]
        known = {"yes": protects is None or any(protects), "no": protects is None or not all(protects)}
        if row is None:
            row = Row(1, Digest(""), (), 0, "", "")
        about = {"model": self._model, "version": target.version if target else "VERSION", "alias": register.alias}
        for kind, problem in find_alias_faults(register, row, records, self._story, known):
            self.findings.add(kind, key, problem, **about)
        added = self._added.get(target.version) if target is not None else None
        is_named = any(finding.key == key for finding in self.findings.found)  # the same may say why it differs
        if target is not None and added is not None and not is_named and is_behind(register, added):
            self.findings.add(
                Kind.ALIAS_BEHIND,
                key,
                f"The alias does not carry the decisions about version {target.version} as they are.",
                **about,
            )

    # Rows, sealed and not

    def _iter_rows(self, head: Head) -> Iterator[tuple[Row, ...]]:
        for entry in self._load_directory(head):
            key = keys.page(self._model, entry.page)
            what = f"the page of versions {entry.first} to {entry.last}"
            read = read_named(self._session.store, key, entry.page, partial(decode_page, what=key))
            page = report(self.findings, Kind.PAGE_LOST, key, what, read)
            if page is None:
                self._has_seen_all = False
                continue
            if [row.version for row in page.rows] != list(range(entry.first, entry.last + 1)):
                self._damage(
                    Kind.PAGE_CONTRADICTION,
                    f"The page does not hold exactly versions {entry.first} to {entry.last}.",
                    key,
                )
            elif entry_of(page.rows, entry.page) != entry:
                self._damage(
                    Kind.PAGE_CONTRADICTION, "The directory's index of this page is not that of its rows.", key
                )
            yield page.rows
        yield head.rows

    def _load_directory(self, head: Head) -> tuple[PageEntry, ...]:
        digest, count = head.sealed.directory, head.sealed.count
        if digest is None:
            if count:
                self._damage(
                    Kind.PAGE_CONTRADICTION, f"{count:,} versions are sealed, and no directory of their pages is named."
                )
            return ()
        key = keys.page(self._model, digest)
        read = read_named(self._session.store, key, digest, partial(decode_directory, what=key))
        directory = report(self.findings, Kind.DIRECTORY_LOST, key, "the directory of the sealed versions", read)
        if directory is None:
            self._has_seen_all = False
            return ()
        last = directory.entries[-1].last if directory.entries else 0
        if last != count:
            self._damage(
                Kind.PAGE_CONTRADICTION,
                f"The directory ends at version {last}, but the head says that {count} are sealed.",
                key,
            )
        return directory.entries

    def _check_rows(
        self, rows: tuple[Row, ...], blobs: BlobCheck, cited: CitedCheck, rule: StateRule, named: set[int]
    ) -> None:
        self.versions += len(rows)
        self._rows.update((row.version, row) for row in rows)
        bodies = self._session.map_in_parallel(
            lambda row: look_for(self._session.store, keys.manifest(self._model, row.manifest)), rows
        )
        manifests: dict[int, Manifest] = {}
        for row, found in zip(rows, bodies, strict=True):
            manifest = self._check_manifest(row, found)
            if manifest is None:
                self._has_seen_all = False
            else:
                manifests[row.version] = manifest
                self._check_content(row, manifest, blobs)
        added = cited.check(rows)
        for row in rows:
            self._check_added(row, added, rule)
            self._check_copies(row, manifests.get(row.version), added.get(row.version))
        self._decisions.update((version, added[version].decisions) for version in named & added.keys())
        self._added.update((version, added[version]) for version in named & added.keys())

    def _check_copies(self, row: Row, manifest: Manifest | None, added: AddedDocuments | None) -> None:
        """Compare what the row repeats with what the manifest, the dossier and the audit records say."""
        problems: list[str] = []
        if manifest is not None:
            problems += find_copy_faults(row, manifest)
        if self._story is not None:
            problems += self._story.find_row_faults(row)
            if manifest is not None:
                problems += find_label_faults(row, manifest, self._story)
            if added is not None:
                for problem in find_dossier_faults(row, added, self._story):
                    self._damage(Kind.DOSSIER_CONTRADICTION, problem)
        if manifest is not None and added is not None and added.evidence is not None:
            measured = (*manifest.evidence_at_publish, *added.evidence)
            problems += find_metric_faults(row, measured, self._policies, self._story)
        for problem in problems:
            self._damage(Kind.ROW_CONTRADICTION, problem)

    def _check_manifest(self, row: Row, found: Object | Unreadable | None) -> Manifest | None:
        key = keys.manifest(self._model, row.manifest)
        self._named_manifests.add(key)
        if found is None:
            self._damage(Kind.MANIFEST_LOST, f"The manifest of version {row.version} is missing.", key)
            return None
        if isinstance(found, Unreadable):
            self._damage(
                Kind.MANIFEST_LOST, f"The manifest of version {row.version} cannot be read: {found.reason}.", key
            )
            return None
        if digest_of(found.body) != row.manifest:
            self._damage(
                Kind.MANIFEST_LOST, f"The manifest of version {row.version} is not the bytes that its name says.", key
            )
            return None
        try:
            manifest = decode_manifest(found.body, what=key)
        except UNREADABLE as error:
            kind = kind_of(error, Kind.MANIFEST_LOST)
            self._damage(kind, f"The manifest of version {row.version} cannot be read: {reason_of(error)}.", key)
            return None
        if manifest.model != self._model:
            self._damage(
                Kind.MANIFEST_LOST,
                f"The manifest of version {row.version} is that of another model, {manifest.model}.",
                key,
            )
            return None
        return manifest

    def _check_content(self, row: Row, manifest: Manifest, blobs: BlobCheck) -> None:
        self.size_bytes += manifest.size_bytes
        if row.size_bytes != manifest.size_bytes:
            self._damage(
                Kind.ROW_CONTRADICTION,
                f"Version {row.version} has {row.size_bytes:,} bytes in the head "
                f"and {manifest.size_bytes:,} in its manifest.",
            )
        if row.state not in BLOBS_KEPT:
            return
        named = named_blobs(self._model, row.placement, manifest)
        if named is None:
            self._has_seen_all = False
            self._damage(
                Kind.PLACEMENT_WRONG,
                f"The placement of version {row.version} does not count its {len(manifest.artifacts)} artifacts.",
            )
        else:
            is_served = (row.manifest, row.placement) in self._served
            blobs.check(f"version {row.version}", named, must_be_here=not self._selection.aliases or is_served)
        if row.base == f"{self._model}:{row.version}":
            self._damage(Kind.ROW_CONTRADICTION, f"Version {row.version} names itself as its base.")
        for parent in manifest.lineage.parents:
            self._bases.check(row, parent, self._rows)
            self.pins.children.add((self._model, parent.manifest))

    def _check_added(self, row: Row, added: Mapping[int, AddedDocuments], rule: StateRule) -> None:
        """Check what was added to a version, and that its state follows from it."""
        if row.state is State.DELETING:
            since = f" since generation {row.deletion.generation}" if row.deletion else ""
            self.findings.add(
                Kind.DELETION_UNFINISHED,
                keys.head(self._model),
                f"Version {row.version} has been in deletion{since}.",
                model=self._model,
                version=row.version,
            )
        found = added.get(row.version)
        if found is None:
            self._has_seen_all = False
            return
        self.pins.add_row(self._model, row, found.dossier)
        if found.decisions is None:
            return
        lost = rule.find_lost_refusals(row, found.decisions)
        if lost:
            self._damage(
                Kind.DOSSIER_CONTRADICTION,
                f"Version {row.version} was refused, and its dossier does not cite {lost:,} of the refusals "
                "that the audit records name.",
            )
        if row.state not in DECIDED:
            return
        possible = rule.find_possible(row, found.dossier, found.decisions, self.findings)
        if row.state not in possible:
            self._damage(
                Kind.ROW_CONTRADICTION,
                f"Version {row.version} is {row.state} in the head; "
                f"by what was decided about it, it is {' or '.join(sorted(possible))}.",
            )
