"""A register that is absent is lost, not new, where something is there that cannot come before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bucketry import client
from bucketry.errors import BucketryError, CorruptError, NotFoundError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.core.registers import load_existing_head, load_head, load_or_begin_head
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.serving.watch import watch
from bucketry.registry.versions.listing import list_models
from bucketry.schema import keys
from bucketry.schema.names import Digest, ModelName, parse_reference
from bucketry.store.contract import Entry, ObjectNotFoundError, Unconditional
from maintenance.planting import ALIAS, HEAD, made
from registry.test_costs import Counting
from simulation.actors import CHAT, CONTENTS, Uploader, make_manifest
from simulation.scenes import FEW, NOTHING, SEALED, founder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session
    from bucketry.store.contract import ETag, Object
    from simulation.world import Bucket

Act = Callable[[client.Registry], object]


def publish(registry: client.Registry, model: ModelName = CHAT, *, content: int = 3) -> int:
    manifest = make_manifest(model, [CONTENTS[content]], notes="one more")
    return register_version(registry.session, PreparedVersion(manifest), Uploader(registry.session, model)).version


def require_verified(registry: client.Registry) -> None:
    audit = registry.audit("acme/chat")
    if not audit.verified:
        raise CorruptError("; ".join(str(fault) for fault in audit.faults))


EVERY: dict[str, Act] = {
    "publish": publish,
    "versions": lambda registry: list(registry.versions("acme/chat")),
    "resolve": lambda registry: registry.resolve("acme/chat:1"),
    "show": lambda registry: registry.show("acme/chat:1"),
    "audit": require_verified,
    "promote": lambda registry: registry.promote("acme/chat:1", "staging"),
    "roll back": lambda registry: registry.roll_back("acme/chat", "production"),
    "retire": lambda registry: registry.retire("acme/chat:1"),
    "review": lambda registry: registry.review("acme/chat:1", "request"),
    "delete": lambda registry: registry.delete("acme/chat:1"),
}
OF_THE_ALIAS: dict[str, Act] = {
    "resolve": lambda registry: registry.resolve("acme/chat@production"),
    "show": lambda registry: registry.show("acme/chat@production"),
    "watch": lambda registry: next(watch(registry.session, parse_reference("acme/chat@production"))),
    "history": lambda registry: registry.history("acme/chat", "production"),
    "promote": lambda registry: registry.promote("acme/chat:1", "production"),
    "roll back": lambda registry: registry.roll_back("acme/chat", "production"),
    "unset": lambda registry: registry.unset("acme/chat", "production"),
    "reject": lambda registry: registry.review("acme/chat:3", "reject", comment="no"),
    "delete": lambda registry: registry.delete("acme/chat:3"),
}


@pytest.mark.parametrize("act", EVERY.values(), ids=list(EVERY))
def test_a_lost_head_is_corrupt_for_every_reader_and_writer(act: Act) -> None:
    bucket = made(FEW)
    bucket.delete(HEAD)
    before = bucket.snapshot()
    with pytest.raises(CorruptError, match=f"{HEAD} is lost: it is missing, and {ALIAS} is there") as raised:
        act(client.Registry(founder(bucket)))
    assert "restore" in raised.value.advice or raised.value.advice == ""
    assert bucket.snapshot() == before


@pytest.mark.parametrize("act", OF_THE_ALIAS.values(), ids=list(OF_THE_ALIAS))
def test_a_lost_alias_is_corrupt_for_every_reader_and_writer(act: Act) -> None:
    bucket = made(SEALED)
    bucket.delete(ALIAS)
    with pytest.raises(BucketryError, match=f"{ALIAS} is lost: it is missing, and history/acme/chat/production/"):
        act(client.Registry(founder(bucket)))
    with pytest.raises(ObjectNotFoundError):
        bucket.get(ALIAS)


def witness_by_history(bucket: Bucket) -> str:
    return put(bucket, keys.head_history(CHAT, 1))


def witness_by_alias_history(bucket: Bucket) -> str:
    return put(bucket, keys.alias_history(CHAT, keys.alias_of_key(CHAT, ALIAS), 1))


def witness_by_evidence(bucket: Bucket) -> str:
    return put(bucket, keys.evidence(CHAT, Digest("a" * 64), Digest("b" * 64)))


def witness_by_epoch(bucket: Bucket) -> str:
    put(bucket, keys.blob(CHAT, 1, Digest("a" * 64)))
    put(bucket, keys.blob(CHAT, 2, Digest("a" * 64)))
    return keys.blob_epoch(CHAT, 2)


def put(bucket: Bucket, key: str) -> str:
    bucket.put(key, b"{}", Unconditional())
    return key


@pytest.mark.parametrize("plant", [witness_by_history, witness_by_alias_history, witness_by_evidence, witness_by_epoch])
def test_each_witness_tells_that_there_was_a_head(plant: Callable[[Bucket], str]) -> None:
    bucket = made(NOTHING)
    witness = plant(bucket)
    with pytest.raises(CorruptError, match=f"{HEAD} is lost: it is missing, and {witness} is there"):
        publish(client.Registry(founder(bucket)))


def test_blobs_and_manifests_alone_do_not_keep_a_model_from_being_new() -> None:
    bucket = made(NOTHING)
    put(bucket, keys.blob(CHAT, 1, Digest("a" * 64)))
    put(bucket, keys.manifest(CHAT, Digest("a" * 64)))
    with pytest.raises(NotFoundError, match="there is no model acme/chat"):
        load_existing_head(founder(bucket), CHAT)
    assert publish(client.Registry(founder(bucket))) == 1


class Late(Counting):
    """A bucket in which others make a model while somebody looks whether it is there."""

    def __init__(self, others: Bucket) -> None:
        super().__init__()
        self.others = others

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        try:
            return super().get(key, unless=unless)
        except ObjectNotFoundError:
            if key == HEAD and self.others is not None:
                self.restore(self.others.snapshot())
            raise


def test_a_model_that_others_make_meanwhile_is_no_damage() -> None:
    bucket = Late(made(FEW))
    bucket.restore(made(NOTHING).snapshot())
    assert load_existing_head(founder(bucket), CHAT).next_version == 4


def test_a_first_publish_begins_with_an_empty_head() -> None:
    bucket = made(NOTHING)
    session = founder(bucket)
    seen: list[list[str]] = []

    def upload(*_: object) -> int:
        seen.append([entry.key for entry in entries(bucket, CHAT)])
        raise KeyboardInterrupt

    manifest = make_manifest(CHAT, [CONTENTS[3]], notes="one more")
    with pytest.raises(KeyboardInterrupt):
        register_version(session, PreparedVersion(manifest), upload)
    assert seen == [[HEAD]]
    assert load_head(session, CHAT).state is not None


def entries(bucket: Bucket, model: ModelName) -> Iterator[Entry]:
    folder = f"/{model.namespace}/{model.name}"
    return (entry for entry in bucket.list("") if isinstance(entry, Entry) and folder in entry.key)


def test_what_only_a_first_publish_began_is_no_model_yet() -> None:
    bucket = made(NOTHING)
    session = founder(bucket)
    begun = load_or_begin_head(session, CHAT)
    assert begun.state is not None
    assert begun.state.generation == 0
    assert load_or_begin_head(founder(bucket), CHAT) == begun
    registry = client.Registry(founder(bucket))
    assert CHAT not in [summary.model for summary in list_models(session)]
    for act in ("versions", "resolve", "show", "audit", "promote", "retire", "review", "delete"):
        with pytest.raises(NotFoundError, match="there is no model acme/chat"):
            EVERY[act](registry)
    assert not [finding for finding in check_registry(session).findings if "acme/chat" in finding.key]
    assert publish(registry) == 1
    head = load_existing_head(session, CHAT)
    assert (head.generation, head.trail.records[0].action) == (1, "publish")


def test_a_lost_registry_document_is_corrupt_and_no_reason_to_make_another() -> None:
    bucket = made(FEW)
    bucket.delete(keys.REGISTRY)
    for act in (lambda session: session.registry, lambda session: load_existing_head(session, CHAT)):
        with pytest.raises(CorruptError, match=r"registry.json is lost: .* objects of a registry below") as raised:
            act(founder(bucket))
        assert "would make another registry" in raised.value.advice


def test_absence_costs_listings_only_where_something_is_absent() -> None:
    bucket = Counting()
    bucket.restore(made(FEW).snapshot())
    listed: list[str] = []
    real = bucket.list

    def recorded(prefix: str, *, delimiter: str | None = None) -> object:
        listed.append(prefix)
        return real(prefix, delimiter=delimiter)

    bucket.list = recorded  # type: ignore[method-assign,assignment]
    session: Session = founder(bucket)
    publish(client.Registry(session))
    client.Registry(session).promote("acme/chat:1", "production")
    assert listed == []
