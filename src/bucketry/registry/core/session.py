"""An opened registry, which every service function needs: its store, its id, who acts, and what was read before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from bucketry.clock import Clock
from bucketry.errors import CorruptError, RejectedError, UnsupportedError
from bucketry.frozen import frozen
from bucketry.registry.core.immutable import Immutable, find_object
from bucketry.registry.core.witnesses import no_registry
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.audit import parse_actor
from bucketry.schema.documents.settings import RegistryDocument, decode_registry
from bucketry.transfer.pace.workers import MapInParallel, map_in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.config import RegistryProfile
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.dossier import Citation
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.documents.replica import Replica
    from bucketry.schema.judging.gate_checks import ScanReport
    from bucketry.schema.names import Digest, ModelName, Reference
    from bucketry.store.contract import Store
    from bucketry.trust.trust_file import TrustFile

MOST_BROKEN = 3
"""So many broken promises are named in one message; `bucketry doctor` lists all."""
CACHED_DOCUMENT_BYTES = 64 * 1024 * 1024
KEPT_ARTIFACTS = 40_000
"""So many artifacts are kept of decoded manifests, each of which counts as one more: some 25 MB."""
FOREIGN = "run `bucketry fsck`; put back what belongs there from the bucket's versions or from a mirror"


class DocumentCache:
    """Immutable documents by digest, the least recently used dropped beyond 64 MiB, or `most_bytes`. Safe for threads.

    The digest alone is the key: equal bytes are the same document under whichever model they lie, and a register has
    named that digest before anybody asks for it. Whether each model's own object is there, fsck asks the store itself.
    """

    def __init__(self, most_bytes: int = CACHED_DOCUMENT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._manifests: OrderedDict[tuple[str, str], Manifest] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def find(self, digest: str) -> bytes | None:
        """Return the bytes with this SHA-256 if they were seen."""
        with self._lock:
            body = self._bodies.get(digest)
            if body is not None:
                self._bodies.move_to_end(digest)
            return body

    def remember(self, digest: str, body: bytes) -> None:
        """Keep the bytes, which have this SHA-256."""
        with self._lock:
            if digest not in self._bodies:
                self._bodies[digest] = body
                self._size_bytes += len(body)
            while self._size_bytes > self._most_bytes:
                _, dropped = self._bodies.popitem(last=False)
                self._size_bytes -= len(dropped)

    def manifest(self, model: str, digest: str, decode: Callable[[], Manifest]) -> Manifest:
        """Return a decoded manifest: one action asks several times for the same few, and a large one takes long."""
        with self._lock:
            found = self._manifests.get((model, digest))
            if found is not None:
                self._manifests.move_to_end((model, digest))
                return found
        made = decode()
        with self._lock:
            self._manifests[model, digest] = made
            artifacts = sum(1 + len(manifest.artifacts) for manifest in self._manifests.values())
            while len(self._manifests) > 1 and artifacts > KEPT_ARTIFACTS:
                _, dropped = self._manifests.popitem(last=False)
                artifacts -= 1 + len(dropped.artifacts)
        return made


def replica_refusal(place: str, replica: Replica) -> RejectedError:
    """Return the error for whoever would write to a copy of a registry."""
    return RejectedError(
        f"{place} is a replica of {replica.source}, which only `bucketry mirror` writes",
        advice=f"do this at the source: --registry {replica.source}",
    )


class TrustCheck(Protocol):
    """What a session asks before anything is served where the bucket is not believed (`review/strict.py`).

    Each method raises `RejectedError` for what the trust file does not accept.
    """

    @property
    def trust(self) -> TrustFile:
        """The file that decides."""

    def resolve(self, session: Session, reference: Reference) -> ResolvedVersion:
        """Return what a reference names, if it is accepted."""

    def check_registry(self, registry: str) -> None:
        """Raise for a registry that the trust file is not about."""

    def check_register(self, session: Session, register: AliasRegister) -> None:
        """Raise unless an alias's register, as it was read, may be followed."""

    def check_verification(self, verify: str) -> None:
        """Raise for a way to verify bytes that somebody hostile could get past."""

    def check_again(self, session: Session, resolved: ResolvedVersion) -> None:
        """Raise unless a version is still accepted, by what is read now."""

    def check_base(self, session: Session, head: Head, row: Row, base: ResolvedVersion) -> None:
        """Raise unless the base of an accepted adapter may be used."""


@frozen
class Session:
    """An opened registry. `actor` is a claim, until something is signed.

    `profile` is what it was opened by, if another process can open it by that too. `scans` are the pickle scans that
    were done, by the manifest of the version; `misnamed` which of its files are not what their names say. With
    `strict`, only what a trust file accepts is resolved. fsck `takes_any_registry`: it reports a register of another
    one, and looks at it all the same.
    """

    store: Store
    actor: str
    clock: Clock = field(default_factory=Clock)
    documents: DocumentCache = field(default_factory=DocumentCache)
    read_only: bool = False
    profile: RegistryProfile | None = None
    scans: dict[Digest, ScanReport] = field(default_factory=dict)
    misnamed: dict[Digest, dict[str, str]] = field(default_factory=dict)
    strict: TrustCheck | None = None
    takes_any_registry: bool = False
    map_in_parallel: MapInParallel = map_in_parallel
    _registry: list[RegistryDocument] = field(default_factory=list)
    _believed: dict[str, str] = field(default_factory=dict)
    """The registry's id by the key of each register that was read before `registry.json` was."""

    @property
    def registry(self) -> RegistryDocument:
        """The registry's own document, read once for each session."""
        known = self._registry[:1]  # one step: another thread may forget it or read it anew meanwhile
        return known[0] if known else self._load_registry()

    def forget_registry(self) -> None:
        """Read the registry's document again when it is next needed."""
        self._registry.clear()

    def check_registry(self, found: str, *, key: str, compares_later: bool = False) -> None:
        """Raise `CorruptError` unless what lies at the key was written for this registry.

        With `compares_later`, and before anybody read `registry.json`, it is believed until somebody does, who is told
        then. In strict mode the trust file says which registry this is, and the error is its own.
        """
        if self.strict is not None:
            self.strict.check_registry(found)
        elif self.takes_any_registry:
            return
        elif compares_later and not self._registry:
            self._believed[key] = found
        elif found != self.registry.registry:
            # A session may last longer than the registry at this place: compare with what is here now.
            _check_same(found, self._load_registry(), key)

    def check_believed(self) -> None:
        """Compare what was believed: whoever hands out or keeps more than a look-up says asks for it first."""
        if self._believed:
            self._load_registry()

    def check_not_read_only(self) -> None:
        """Raise if this session may not write at all: configured so, or with an identity that no record can name."""
        if self.read_only:
            raise RejectedError(
                f"{self.store.name} is configured as read-only", advice="remove read_only from the configuration"
            )
        parse_actor(self.actor)

    def check_not_replica(self) -> None:
        """Raise for a copy of a registry: what is decided in it would be lost, or be another history of the same id."""
        replica = self.registry.replica
        if replica is not None:
            raise replica_refusal(self.store.name, replica)

    def check_writable(self) -> None:
        """Raise unless this session may write here: not read-only, no replica, and the store keeps its promises."""
        self.check_not_read_only()
        self.check_not_replica()
        result = self.registry.find_conformance(self.store.endpoint)
        if result is None or not result.passed:  # in a session that lasts, somebody may have probed since it began
            result = self._load_registry().find_conformance(self.store.endpoint)
        if result is None:
            raise UnsupportedError(
                f"nobody has probed whether {self.store.endpoint} keeps the promises that writing needs",
                advice="run `bucketry doctor` once against this endpoint",
            )
        if not result.passed:
            broken = tuple(dict.fromkeys(result.broken))
            more = f"; and {len(broken) - MOST_BROKEN} more" if len(broken) > MOST_BROKEN else ""
            raise UnsupportedError(
                f"{self.store.endpoint} is not safe to write to, for it breaks promises that writing needs: "
                f"{'; '.join(broken[:MOST_BROKEN])}{more}",
                advice="use a store that keeps conditional writes, then run `bucketry doctor` again",
            )

    def load_document(self, model: ModelName, digest: Digest) -> bytes:
        """Return a page, directory, dossier or note by its digest, verified."""
        return self._load(digest, keys.page(model, digest))

    def load_manifest_bytes(self, model: ModelName, digest: Digest) -> bytes:
        """Return a manifest's raw bytes by its digest, verified before anybody parses them."""
        return self._load(digest, keys.manifest(model, digest))

    def load_cited(self, cited: Citation) -> bytes:
        """Return the bytes of an evaluation or a decision that a dossier names, verified.

        Raises `CorruptError` for a key at which none of the two can lie.
        """
        if not keys.is_cited_key(cited.key, cited.sha256):
            raise CorruptError(
                f"a dossier cites {cited.key[:300]!a}, which is the key of no evaluation and no decision",
                advice="run `bucketry fsck`",
            )
        return self._load(cited.sha256, cited.key)

    def load_policy_bytes(self, digest: Digest) -> bytes:
        """Return a policy's document by its digest, verified."""
        return self._load(digest, keys.policy(digest))

    def new_document(self, model: ModelName, body: bytes) -> Immutable:
        """Return the object that a document in `pages/` becomes; it can be loaded from here on."""
        digest = digest_of(body)
        self.documents.remember(digest, body)
        return Immutable(keys.page(model, digest), body)

    def _load_registry(self) -> RegistryDocument:
        found = find_object(self.store, keys.REGISTRY)
        if found is None:
            raise no_registry(self.store)
        document = decode_registry(found.body, what=keys.REGISTRY)
        self._registry[:] = [document]
        for key in tuple(self._believed):  # another thread may do the same
            _check_same(self._believed.pop(key, document.registry), document, key)
        return document

    def _load(self, digest: Digest, key: str) -> bytes:
        body = self.documents.find(digest)
        if body is not None:
            return body
        found = find_object(self.store, key)
        if found is None:
            raise CorruptError(
                f"{key} is missing",
                advice="run `bucketry fsck`; restore the object from a mirror or the bucket's versions",
            )
        if digest_of(found.body) != digest:
            raise CorruptError(f"the bytes of {key} are not those that its name says", advice="run `bucketry fsck`")
        self.documents.remember(digest, found.body)
        return found.body


def _check_same(found: str, document: RegistryDocument, key: str) -> None:
    expected = document.registry
    if found != expected:
        raise CorruptError(
            f"{key} belongs to the registry {found[:64]!a}, not to this one, {expected[:64]!a}", advice=FOREIGN
        )
