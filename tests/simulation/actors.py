"""What do the programs do that share a simulated registry, and what were they told?

Every attempt at an operation is noted with its outcome and with the transaction ids that it began, so that the
oracle can compare what was promised with what the bucket holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bucketry.clock import Backoff
from bucketry.errors import (
    BucketryError,
    CommitUnknownError,
    ContendedError,
    CorruptError,
    NotFoundError,
    UnavailableError,
)
from bucketry.registry.core.resolve import resolve
from bucketry.registry.core.session import Session
from bucketry.registry.publishing.registration import PreparedVersion, RegisteredVersion, register_version
from bucketry.registry.review.reviewing import RecordedDecision, decide, prepare_decision, record_decision
from bucketry.registry.serving.aliases import AliasMove, promote, roll_back, undo_move, unset
from bucketry.registry.versions.evaluate import evaluate
from bucketry.registry.versions.lifecycle import edit_model, edit_version, retire, unretire
from bucketry.schema import keys
from bucketry.schema.codec import digest_of
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Artifact, Chunks, Lineage, Manifest, Parent, encode_manifest
from bucketry.schema.documents.reviews import REFUSALS, Action, Review, encode_statement
from bucketry.schema.names import AliasName, ByAlias, Digest, ModelName, Reference
from bucketry.store.contract import ObjectNotFoundError, PreconditionFailedError
from simulation.faults import Faults, SimulatedStore
from simulation.world import Crash, one_after_another

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.clock import Clock
    from bucketry.store.contract import Store
    from simulation.world import Actor, World

CHAT = ModelName("acme", "chat")
BASE = ModelName("acme", "base")
PRODUCTION = AliasName("production")
CONTENTS = [b"", *(bytes([number]) * (number + 3) for number in range(5))]
MOST_LIVES = 4
MOST_UPLOAD_TRIES = 60

Status = Literal["acknowledged", "unknown", "crashed", "failed"]


@dataclass(slots=True)
class Attempt:
    """One try at an operation. `register` is the key whose commit the operation is about."""

    kind: str
    register: str
    status: Status
    transactions: tuple[str, ...]
    published: RegisteredVersion | None = None
    moved: AliasMove | None = None
    manifest: Digest | None = None
    idempotency_key: str | None = None
    error: BucketryError | None = None
    decided: RecordedDecision | None = None
    number: int = 0
    """How many attempts had ended when it began: two of one moment must not publish the same manifest."""
    measured: tuple[int, float] | None = None
    """The version that was evaluated, and what was measured: no other attempt measures the same."""
    refused_before: frozenset[int] = frozenset()
    robbed: str = ""
    """What a pull was not given although it took no longer than a collection has to wait."""


@dataclass(slots=True)
class Sight:
    """What a reader saw an alias name; `at_least` is the newest generation acknowledged when it began to look."""

    reader: str
    alias: AliasName
    generation: int
    version: int
    at_least: int


@dataclass(slots=True)
class History:
    """Everything that the actors did and saw."""

    attempts: list[Attempt] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    moved_to_generation: dict[AliasName, int] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    """Versions whose rejection or revocation was acknowledged."""


Result = RegisteredVersion | AliasMove | RecordedDecision | None


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that an actor does. `again` says whether it is tried again after a crash or an unknown outcome."""

    kind: str
    register: str
    act: Callable[[Session, Attempt], Result]
    again: bool = False


def program(
    history: History, faults: Faults, operations: Sequence[Operation], *, lies: str = ""
) -> Callable[[Actor], None]:
    """Return a program that does the operations in order; a crash ends a life, and a new process goes on."""

    def run(actor: Actor) -> None:
        for operation in operations:
            for _ in range(MOST_LIVES):
                if not _try(actor, history, faults, operation, lies):
                    break

    return run


def _try(actor: Actor, history: History, faults: Faults, operation: Operation, lies: str) -> bool:
    """Try once; return whether to try again."""
    actor.world.note("begin", operation.kind)
    before = len(actor.transactions)
    attempt = Attempt(operation.kind, operation.register, "acknowledged", ())
    attempt.refused_before = frozenset(history.refused)
    attempt.number = len(history.attempts)
    session = new_session(actor.world, actor.name, actor.clock(), faults, lies=lies)
    try:
        result = operation.act(session, attempt)
        attempt.published = result if isinstance(result, RegisteredVersion) else None
        attempt.moved = result if isinstance(result, AliasMove) else None
        attempt.decided = result if isinstance(result, RecordedDecision) else None
    except Crash:
        attempt.status = "crashed"
    except CommitUnknownError as error:
        attempt.status, attempt.error = "unknown", error
    except CorruptError:
        raise  # nothing that the actors do may ever look like damage
    except BucketryError as error:
        attempt.status, attempt.error = "failed", error
    attempt.transactions = tuple(actor.transactions[before:])
    history.attempts.append(attempt)
    if attempt.moved is not None:
        known = history.moved_to_generation
        known[attempt.moved.alias] = max(known.get(attempt.moved.alias, 0), attempt.moved.generation)
    if attempt.decided is not None and attempt.decided.action in REFUSALS:
        history.refused.add(attempt.decided.version)
    actor.world.note("end", operation.kind, attempt.status, attempt.error and attempt.error.message)
    if attempt.status == "failed":
        return operation.again and isinstance(attempt.error, ContendedError | UnavailableError)
    return operation.again and attempt.status in {"crashed", "unknown"}


def new_session(world: World, name: str, clock: Clock, faults: Faults, *, lies: str = "") -> Session:
    return Session(
        SimulatedStore(world, faults, lies=lies, clock=clock),
        actor=f"{name}@example.org",
        clock=clock,
        map_in_parallel=one_after_another,
    )


def publishing(
    name: str,
    contents: Sequence[int],
    *,
    model: ModelName = CHAT,
    key: str | None = None,
    parent: Parent | None = None,
) -> Operation:
    """Return the publishing of a version with some of the `CONTENTS`; with a key it is tried until it succeeds."""

    def act(session: Session, attempt: Attempt) -> Result:
        manifest = make_manifest(
            model,
            [CONTENTS[index] for index in contents],
            notes=f"{name} {session.clock.timestamp()} {attempt.number}",
            parents=(parent,) if parent else (),
            accuracy=0.5,
        )
        prepared = PreparedVersion(manifest, {"accuracy": 0.5}, idempotency_key=key)
        attempt.idempotency_key = key
        attempt.manifest = manifest_digest(manifest)
        return register_version(session, prepared, Uploader(session, model))

    return Operation("publish", keys.head(model), act, again=key is not None)


def promoting(version: int, *, alias: AliasName = PRODUCTION, again: bool = False) -> Operation:
    return Operation(
        "promote",
        keys.alias(CHAT, alias),
        lambda session, _: promote(session, CHAT, version, alias, reason="it is better"),
        again=again,
    )


def rolling_back(*, alias: AliasName = PRODUCTION) -> Operation:
    return Operation(
        "rollback", keys.alias(CHAT, alias), lambda session, _: roll_back(session, CHAT, alias, reason="x" * 80)
    )


def undoing(*, alias: AliasName = PRODUCTION) -> Operation:
    return Operation("undo", keys.alias(CHAT, alias), lambda session, _: undo_move(session, CHAT, alias))


def unsetting(*, alias: AliasName = PRODUCTION) -> Operation:
    return Operation("unset", keys.alias(CHAT, alias), lambda session, _: unset(session, CHAT, alias))


def deciding(action: Action, version: int) -> Operation:
    """Return a decision. A refusal is made again until it is acknowledged: an interrupted one binds nobody.

    Every second one is prepared, and recorded later by one who knows the statement alone, as with a signature that was
    made elsewhere.
    """

    def act(session: Session, attempt: Attempt) -> Result:
        if attempt.number % 2:
            return decide(session, CHAT, version, action, comment="because")
        statement = prepare_decision(session, CHAT, version, action, comment="because").statement
        return record_decision(session, Review(encode_statement(statement)))

    return Operation(action, keys.head(CHAT), act, again=action in REFUSALS)


def evaluating(version: int, value: float) -> Operation:
    def act(session: Session, attempt: Attempt) -> Result:
        attempt.measured = (version, value)
        evaluate(session, CHAT, version, [Evidence("automated", (Metric("auc", value),))])
        return None

    return Operation("evaluate", keys.head(CHAT), act, again=True)


def retiring(version: int) -> Operation:
    return Operation("retire", keys.head(CHAT), lambda session, _: _none(retire(session, CHAT, version)))


def unretiring(version: int) -> Operation:
    return Operation("unretire", keys.head(CHAT), lambda session, _: _none(unretire(session, CHAT, version)))


def noting(version: int, text: str) -> Operation:
    return Operation(
        "edit", keys.head(CHAT), lambda session, _: _none(edit_version(session, CHAT, version, notes=text))
    )


def describing(text: str) -> Operation:
    return Operation("edit", keys.head(CHAT), lambda session, _: _none(edit_model(session, CHAT, description=text)))


def watching(history: History, faults: Faults, *, looks: int, alias: AliasName = PRODUCTION) -> Callable[[Actor], None]:
    """Return a reader that resolves an alias again and again, and notes what it saw."""

    def run(actor: Actor) -> None:
        for _ in range(looks):
            session = new_session(actor.world, actor.name, actor.clock(), faults)
            at_least = history.moved_to_generation.get(alias, 0)
            try:
                seen = resolve(session, Reference(CHAT, ByAlias(alias)))
            except (NotFoundError, UnavailableError, Crash):
                continue
            assert seen.generation is not None
            history.sights.append(Sight(actor.name, alias, seen.generation, seen.version, at_least))
            actor.world.note("saw", alias, seen.generation, seen.version)

    return run


@dataclass(frozen=True, slots=True)
class Uploader:
    """Stores artifacts whose bytes are among the `CONTENTS`, and believes in nothing that it has not seen."""

    session: Session
    model: ModelName

    def __call__(self, epoch: int, artifacts: Sequence[Artifact]) -> int:
        by_digest = {hashlib.sha256(content).hexdigest(): content for content in CONTENTS}
        return sum(
            self._upload(keys.blob(self.model, epoch, artifact.sha256), by_digest[artifact.sha256])
            for artifact in artifacts
        )

    def _upload(self, key: str, content: bytes) -> int:
        store: Store = self.session.store
        backoff = Backoff(self.session.clock)
        for _ in range(MOST_UPLOAD_TRIES):
            try:
                store.stat(key)
            except ObjectNotFoundError:
                pass
            except UnavailableError:
                backoff.pause()
                continue
            else:
                return 0
            try:
                store.put_blob(key, memoryview(content))
            except (PreconditionFailedError, UnavailableError):
                backoff.pause()
            else:
                return len(content)
        raise UnavailableError(f"{key} could not be uploaded")


def make_manifest(
    model: ModelName,
    contents: Sequence[bytes],
    *,
    notes: str,
    parents: tuple[Parent, ...] = (),
    accuracy: float | None = None,
) -> Manifest:
    artifacts = []
    for number, content in enumerate(contents):
        digest = hashlib.sha256(content).hexdigest()
        chunks = Chunks(16 * 1024 * 1024, (digest,) if content else (), ("0" * 32,) if content else ())
        artifacts.append(
            Artifact(f"file-{number}.bin", len(content), Digest(digest), "application/octet-stream", chunks)
        )
    return Manifest(
        model=model,
        created_at="2026-03-03T12:00:00.000Z",
        created_by="trainer@example.org",
        artifacts=tuple(artifacts),
        lineage=Lineage(parents=parents),
        evidence_at_publish=(Evidence("automated", (Metric("accuracy", accuracy),)),) if accuracy else (),
        notes=notes,
    )


def manifest_digest(manifest: Manifest) -> Digest:
    return digest_of(encode_manifest(manifest))


def _none(_: object) -> None:
    return None
