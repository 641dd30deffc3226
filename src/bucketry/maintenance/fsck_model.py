"""Is one model whole: its head, its versions old and new, their bytes, their dossiers and its aliases?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import BucketryError, UsageError
from bucketry.maintenance.findings import Findings
from bucketry.maintenance.fsck_blobs import BlobCheck, named_blobs
from bucketry.maintenance.fsck_reading import UNREADABLE, Unreadable, list_entries, look_for, reason_of
from bucketry.registry.history import load_records
from bucketry.registry.registers import alias_register, head_register
from bucketry.registry.rows import find_row
from bucketry.schema import keys
from bucketry.schema.audit import find_chain_fault
from bucketry.schema.codec import digest_of
from bucketry.schema.dossier import decode_dossier
from bucketry.schema.head import LARGEST_HEAD_BYTES
from bucketry.schema.manifest import decode_manifest
from bucketry.schema.names import parse_digest
from bucketry.schema.pages import decode_directory, decode_page, entry_of
from bucketry.schema.states import BLOBS_KEPT, State
from bucketry.store.interface import ETag, Object, ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.commit import HasTrail, Register
    from bucketry.registry.session import Session
    from bucketry.schema.alias import AliasRegister
    from bucketry.schema.audit import Trail
    from bucketry.schema.dossier import Dossier
    from bucketry.schema.head import Head, Row
    from bucketry.schema.manifest import Manifest, Parent
    from bucketry.schema.names import AliasName, Digest, ModelName
    from bucketry.schema.pages import PageEntry

S = TypeVar("S", bound="HasTrail")
T = TypeVar("T")


class ModelCheck:
    """One pass over one model. `run` fills `findings`, `versions` and `size_bytes`."""

    def __init__(self, session: Session, model: ModelName, registry: str | None, *, deep: bool) -> None:
        self.findings = Findings()
        self.versions = 0
        self.size_bytes = 0
        self._session = session
        self._model = model
        self._registry = registry
        self._deep = deep
        self._etags: dict[str, ETag | None] = {}
        self._heads: dict[ModelName, Head | None] = {}
        self._named_manifests: set[str] = set()
        self._rows: dict[int, Row] = {}

    def run(self) -> None:
        """Check everything that belongs to the model."""
        # Whatever a register names was written before it: so listings first, then aliases, then the head.
        store, model = self._session.store, self._model
        manifest_keys = [entry.key for entry in list_entries(store, keys.manifests(model), self.findings)]
        blobs = BlobCheck(self._session, model, self.findings)
        aliases = list(self._load_aliases())
        head = self._load_head(model)
        if head is None:
            return
        if self._registry is not None and head.registry != self._registry:
            self._damage(f"The head belongs to the registry {head.registry}, not to this one.")
        self._check_chain(head_register(self._session, model), head.trail)
        for rows in self._iter_rows(head):
            self._check_rows(rows, blobs)
        for alias, register in aliases:
            self._check_alias(head, alias, register, blobs)
        for key in manifest_keys:
            if key not in self._named_manifests:
                self.findings.garbage(key, "No version has this manifest.")
        blobs.find_garbage()
        if self._deep:
            blobs.compare_bytes()

    def has_moved(self) -> bool:
        """Return whether a register that this pass read has changed since."""
        return any(self._etag_now(key) != etag for key, etag in self._etags.items())

    def _damage(self, problem: str, key: str | None = None) -> None:
        self.findings.damage(key or keys.head(self._model), problem)

    # Registers

    def _load_head(self, model: ModelName) -> Head | None:
        """Return a model's head; what is wrong with it is reported only where it is the model being checked."""
        if model not in self._heads:
            head, problem = self._load_register(head_register(self._session, model))
            if problem and model == self._model:
                self._damage(problem)
            self._heads[model] = head
        return self._heads[model]

    def _load_register(self, register: Register[S]) -> tuple[S | None, str]:
        found = look_for(self._session.store, register.key)
        if isinstance(found, Unreadable):
            return None, f"The register cannot be read: {found.reason}."
        self._etags[register.key] = found.etag if found else None
        if found is None:
            return None, "The register is missing."
        if len(found.body) >= LARGEST_HEAD_BYTES and register.key.startswith(keys.HEADS):
            self._damage(
                f"The head has {len(found.body):,} bytes; it must stay under {LARGEST_HEAD_BYTES:,}.",
                register.key,
            )
        try:
            return register.decode(found.body), ""
        except UNREADABLE as error:
            return None, f"The register cannot be read: {reason_of(error)}."

    def _check_chain(self, register: Register[S], trail: Trail) -> None:
        try:
            records = load_records(self._session, register, trail)
        except UNREADABLE as error:
            self._damage(f"The audit chain is broken: {reason_of(error)}.", register.key)
            return
        fault = find_chain_fault(records)
        if fault:
            self._damage(f"The audit chain is broken: {fault}.", register.key)
        for record in records:
            if "note" in record.detail:
                self._check_note(register.key, record.generation, str(record.detail["note"]))

    def _check_note(self, register_key: str, generation: int, note: str) -> None:
        try:
            digest = parse_digest(note)
        except UsageError:
            self._damage(f"The audit record of generation {generation} names no valid note.", register_key)
            return
        key = keys.page(self._model, digest)
        self._load_named(key, digest, f"the reason of generation {generation} of {register_key}")

    def _etag_now(self, key: str) -> ETag | None:
        try:
            return self._session.store.stat(key).etag
        except (ObjectNotFoundError, *UNREADABLE):
            return None

    # Rows, sealed and not

    def _iter_rows(self, head: Head) -> Iterator[tuple[Row, ...]]:
        for entry in self._load_directory(head):
            key = keys.page(self._model, entry.page)
            what = f"the page of versions {entry.first} to {entry.last}"
            page = self._load_decoded(key, entry.page, what, partial(decode_page, what=key))
            if page is None:
                continue
            if [row.version for row in page.rows] != list(range(entry.first, entry.last + 1)):
                self._damage(f"The page does not hold exactly versions {entry.first} to {entry.last}.", key)
            elif entry_of(page.rows, entry.page) != entry:
                self._damage("The directory's index of this page is not that of its rows.", key)
            yield page.rows
        yield head.rows

    def _load_directory(self, head: Head) -> tuple[PageEntry, ...]:
        digest, count = head.sealed.directory, head.sealed.count
        if digest is None:
            if count:
                self._damage(f"{count:,} versions are sealed, and no directory of their pages is named.")
            return ()
        key = keys.page(self._model, digest)
        what = "the directory of the sealed versions"
        directory = self._load_decoded(key, digest, what, partial(decode_directory, what=key))
        if directory is None:
            return ()
        last = directory.entries[-1].last if directory.entries else 0
        if last != count:
            self._damage(f"The directory ends at version {last}, but the head says that {count} are sealed.", key)
        return directory.entries

    def _check_rows(self, rows: tuple[Row, ...], blobs: BlobCheck) -> None:
        self.versions += len(rows)
        self._rows.update((row.version, row) for row in rows)
        bodies = self._session.ports.map_in_parallel(
            lambda row: look_for(self._session.store, keys.manifest(self._model, row.manifest)), rows
        )
        for row, found in zip(rows, bodies, strict=True):
            manifest = self._check_manifest(row, found)
            if manifest is not None:
                self._check_content(row, manifest, blobs)
            if row.dossier is not None:
                self._check_dossier(row, row.dossier)

    def _check_manifest(self, row: Row, found: Object | Unreadable | None) -> Manifest | None:
        key = keys.manifest(self._model, row.manifest)
        self._named_manifests.add(key)
        if found is None:
            self._damage(f"The manifest of version {row.version} is missing.", key)
            return None
        if isinstance(found, Unreadable):
            self._damage(f"The manifest of version {row.version} cannot be read: {found.reason}.", key)
            return None
        if digest_of(found.body) != row.manifest:
            self._damage(f"The manifest of version {row.version} is not the bytes that its name says.", key)
            return None
        try:
            manifest = decode_manifest(found.body, what=key)
        except UNREADABLE as error:
            self._damage(f"The manifest of version {row.version} cannot be read: {reason_of(error)}.", key)
            return None
        if manifest.model != self._model:
            self._damage(f"The manifest of version {row.version} is that of another model, {manifest.model}.", key)
            return None
        return manifest

    def _check_content(self, row: Row, manifest: Manifest, blobs: BlobCheck) -> None:
        self.size_bytes += manifest.size_bytes
        if row.size_bytes != manifest.size_bytes:
            self._damage(
                f"Version {row.version} has {row.size_bytes:,} bytes in the head "
                f"and {manifest.size_bytes:,} in its manifest."
            )
        if row.state not in BLOBS_KEPT:
            return
        named = named_blobs(self._model, row.placement, manifest)
        if named is None:
            self._damage(
                f"The placement of version {row.version} does not count its {len(manifest.artifacts)} artifacts."
            )
        else:
            blobs.check(f"version {row.version}", named)
        for parent in manifest.lineage.parents:
            self._check_parent(row, parent)

    def _check_dossier(self, row: Row, digest: Digest) -> None:
        dossier = self._load_dossier(self._model, row.version, digest)
        if dossier is None:
            return
        if dossier.manifest != row.manifest:
            self._damage(
                f"The dossier of version {row.version} is that of another manifest.",
                keys.page(self._model, digest),
            )
        for cited in (*dossier.evidence, *dossier.reviews):
            self._load_named(cited.key, cited.sha256, f"an object that the dossier of version {row.version} cites")

    def _check_parent(self, row: Row, parent: Parent) -> None:
        """Check that a live version's base is there and cannot go."""
        who = f"Version {row.version} is made from {parent.model}:{parent.version}"
        base = self._load_head(parent.model)
        if base is None:
            self._damage(f"{who}, a model whose head cannot be read.")
            return
        found = self._find_base_row(base, parent.version)
        if found is None or found.manifest != parent.manifest:
            self._damage(f"{who}, which is not there.")
        elif found.state is State.DELETED:
            self._damage(f"{who}, which is deleted.")
        elif found.dossier is None:
            self._damage(f"{who}, which has no pin that keeps it from being deleted.")
        else:
            dossier = self._load_dossier(parent.model, parent.version, found.dossier)
            if dossier is not None and not any(pin.model == self._model for pin in dossier.dependents):
                self._damage(f"{who}, which has no pin that keeps it from being deleted.")

    def _find_base_row(self, base: Head, version: int) -> Row | None:
        if base.model == self._model and version in self._rows:
            return self._rows[version]
        try:
            return find_row(self._session, base, version)
        except UNREADABLE:
            return None

    # Aliases

    def _load_aliases(self) -> Iterator[tuple[AliasName, AliasRegister]]:
        for entry in list_entries(self._session.store, keys.aliases(self._model), self.findings):
            try:
                alias = keys.alias_of_key(self._model, entry.key)
            except BucketryError:
                alias = None
            if alias is None or keys.alias(self._model, alias) != entry.key:
                self._damage("This key is not that of any alias's register.", entry.key)
                continue
            register, problem = self._load_register(alias_register(self._model, alias))
            if problem:
                self._damage(problem, entry.key)
            if register is not None:
                yield alias, register

    def _check_alias(self, head: Head, alias: AliasName, register: AliasRegister, blobs: BlobCheck) -> None:
        key = keys.alias(self._model, alias)
        self._check_chain(alias_register(self._model, alias), register.trail)
        if alias not in head.aliases:
            self._damage(f"The head does not know the alias {alias}.", key)
        if self._registry is not None and register.registry != self._registry:
            self._damage(f"The alias belongs to the registry {register.registry}, not to this one.", key)
        target = register.target
        if target is None:
            return
        row = self._rows.get(target.version)
        if row is None:
            self._damage(f"The alias names version {target.version}, which is not there.", key)
        elif row.state is State.DELETED:
            self._damage(f"The alias names version {target.version}, which is deleted.", key)
        elif row.manifest != target.manifest:
            self._damage(f"The alias names another manifest than version {target.version} has.", key)
        elif row.placement != target.placement:
            self._check_alias_placement(key, register, blobs)

    def _check_alias_placement(self, key: str, register: AliasRegister, blobs: BlobCheck) -> None:
        """Check a placement that the row no longer has: after a move, both places hold the bytes for a while."""
        target = register.target
        found = look_for(self._session.store, keys.manifest(self._model, target.manifest)) if target else None
        if target is None or not isinstance(found, Object) or digest_of(found.body) != target.manifest:
            return  # reported with the row
        named = named_blobs(self._model, target.placement, decode_manifest(found.body, what=key))
        if named is None:
            self._damage("The alias's placement does not count the artifacts of its version.", key)
        else:
            blobs.check(f"the alias {register.alias}", named)

    # Documents named by their digest

    def _load_dossier(self, model: ModelName, version: int, digest: Digest) -> Dossier | None:
        key = keys.page(model, digest)
        what = f"the dossier of {model}:{version}"
        return self._load_decoded(key, digest, what, partial(decode_dossier, what=key))

    def _load_decoded(self, key: str, digest: Digest, what: str, decode: Callable[[bytes], T]) -> T | None:
        body = self._load_named(key, digest, what)
        if body is None:
            return None
        try:
            return decode(body)
        except UNREADABLE as error:
            self._damage(f"This is {what}, and cannot be read: {reason_of(error)}.", key)
            return None

    def _load_named(self, key: str, digest: Digest, what: str) -> bytes | None:
        found = look_for(self._session.store, key)
        if found is None:
            self._damage(f"This is {what}, and is missing.", key)
            return None
        if isinstance(found, Unreadable):
            self._damage(f"This is {what}, and cannot be read: {found.reason}.", key)
            return None
        if digest_of(found.body) != digest:
            self._damage(f"This is {what}, and its bytes are not those that were named.", key)
            return None
        return found.body
