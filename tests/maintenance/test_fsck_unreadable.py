"""What cannot be read is one finding that names it, and everything else is checked all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, DeniedError, NotFoundError, UnavailableError, UsageError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.schema import keys
from bucketry.store.contract import Entry, Folder, IfAbsent
from bucketry.store.folder.store import FolderStore
from maintenance.planting import ALIAS, HEAD, assert_damage, first, made, rewrite
from simulation.actors import BASE, CHAT
from simulation.scenes import FEW, SEALED, founder
from simulation.world import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bucketry.errors import BucketryError
    from bucketry.store.contract import ETag, Object

ERRORS = [DeniedError("no rights."), CorruptError("a link"), UsageError("no key")]


class Refusing(Bucket):
    """A bucket that has something at each key and prefix and does not give it."""

    def __init__(self, like: Bucket, error: BucketryError, *refused: str) -> None:
        super().__init__()
        self.restore(like.snapshot())
        self.error = error
        self.refused = refused

    def get(self, key: str, *, unless: ETag | None = None) -> Object:
        self.check(key)
        return super().get(key, unless=unless)

    def stat(self, key: str) -> Entry:
        self.check(key)
        return super().stat(key)

    def list(self, prefix: str, *, delimiter: str | None = None) -> Iterator[Entry | Folder]:
        yield from super().list(prefix, delimiter=delimiter)
        self.check(prefix)

    def check(self, key: str) -> None:
        if key in self.refused:
            raise self.error


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "key",
    [
        keys.REGISTRY,
        HEAD,
        ALIAS,
        keys.manifests(CHAT),
        keys.blobs(CHAT),
        keys.aliases(CHAT),
        keys.MANIFESTS,
        keys.BLOBS,
        keys.PROBE,
        f"{keys.HEADS}{CHAT.namespace}/",
    ],
)
def test_what_is_refused_is_named_and_the_rest_is_checked(key: str, error: BucketryError) -> None:
    bucket = made(FEW)
    bucket.delete(first(bucket, keys.manifests(BASE)))
    report = check_registry(founder(Refusing(bucket, error, key)))
    assert_damage(report, key, error.message.rstrip("."))
    assert_damage(report, first(made(FEW), keys.manifests(BASE)), "is missing")
    assert all(not finding.message.endswith("..") for finding in report.findings)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("prefix", [keys.manifests(CHAT), keys.blobs(CHAT), f"{keys.PAGES}{CHAT}/"])
def test_any_object_may_be_refused(prefix: str, error: BucketryError) -> None:
    bucket = made(SEALED)
    entries = [item for item in bucket.list(prefix) if isinstance(item, Entry)][:3]
    assert entries
    for entry in entries:
        report = check_registry(founder(Refusing(bucket, error, entry.key)), deep=True)
        assert_damage(report, entry.key, f"cannot be read: {error.message.rstrip('.')}.")


def test_a_state_that_is_none_is_damage_of_the_alias() -> None:
    bucket = made(FEW)
    rewrite(bucket, ALIAS, lambda alias: alias.update(state="shiny"))
    assert_damage(check_registry(founder(bucket)), ALIAS, "shiny")


@pytest.mark.parametrize("error", [UnavailableError("away"), NotFoundError("there is no bucket"), DeniedError("no")])
def test_a_store_that_gives_nothing_at_all_is_an_error(error: BucketryError) -> None:
    with pytest.raises(type(error)):
        check_registry(founder(Refusing(made(FEW), error, keys.REGISTRY, keys.HEADS)))


@pytest.mark.parametrize("key", [HEAD, keys.blobs(CHAT), keys.MANIFESTS])
def test_a_store_that_goes_away_is_no_damage(key: str) -> None:
    with pytest.raises(UnavailableError):
        check_registry(founder(Refusing(made(FEW), UnavailableError("away"), key)))


def test_a_blob_that_became_a_link_is_damage(tmp_path: Path) -> None:
    bucket, store = made(FEW), FolderStore(tmp_path / "registry")
    store.create_root()
    for item in bucket.list(""):
        assert isinstance(item, Entry)
        store.put(item.key, bucket.get(item.key).body, IfAbsent())
    key = first(bucket, keys.blobs(CHAT))
    path = store.local_path(key)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    session = founder(bucket)
    report = check_registry(type(session)(store, actor=session.actor, clock=session.clock), deep=True)
    assert [finding.key for finding in report.damage] == [key]
