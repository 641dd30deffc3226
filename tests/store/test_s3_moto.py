"""Does the store read Amazon's own kind of replies, as moto imitates them?

moto looks at a condition and then writes, so it is not raced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import NotFoundError
from bucketry.store.contract import IfAbsent, ObjectNotFoundError, Store
from store.contract import StoreContract
from store.s3_stores import leave_to_the_sdk, open_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.process import S3Server


class MotoDiffers:
    """Where the contract asks for what moto does not do."""

    def test_unfinished_uploads_are_listed_until_they_end(self, store: Store) -> None:
        # As in the contract, but for the time: moto says that every upload began on one day of 2010.
        kept = store.start_upload("blobs/team/kept é+%")
        done = store.start_upload("blobs/team/done")
        part = store.upload_part("blobs/team/done", done, 1, 0, memoryview(b"1"))
        store.start_upload("other/x")
        found = {(key, upload) for key, upload, _ in store.list_uploads("blobs/")}
        assert found == {("blobs/team/kept é+%", kept), ("blobs/team/done", done)}
        store.complete_upload("blobs/team/done", done, [part])
        assert [upload for _, upload, _ in store.list_uploads("blobs/")] == [kept]

    def test_a_part_is_not_copied_from_where_an_object_has_ended(self, store: Store) -> None:
        # moto copies what there is, which is nothing.
        store.put_blob("blobs/v1", memoryview(b"0123456789"))
        upload = store.start_upload("blobs/v2")
        store.copy_part("blobs/v2", upload, 1, 0, "blobs/v1", 11, 12)
        assert [part.size_bytes for part in store.list_parts("blobs/v2", upload)] == [0]


class TestMoto(MotoDiffers, StoreContract):
    race_threads = 1
    increment_workers = 1

    @pytest.fixture
    def store(self, moto: S3Server, request: pytest.FixtureRequest) -> Iterator[Store]:
        with open_s3(moto, f"contract/{abs(hash(request.node.nodeid))}") as store:
            yield store


class TestTheSdkMakesAllRequests(MotoDiffers, StoreContract):
    """As it does where a proxy is in the way, or a special kind of bucket."""

    race_threads = 1
    increment_workers = 1

    @pytest.fixture
    def store(self, moto: S3Server, request: pytest.FixtureRequest) -> Iterator[Store]:
        with open_s3(moto, f"sdk/{abs(hash(request.node.nodeid))}") as store:
            leave_to_the_sdk(store)
            yield store


def test_a_missing_bucket_is_named(moto: S3Server) -> None:
    with open_s3(moto, bucket="no-such-bucket") as store:
        with pytest.raises(NotFoundError, match="no bucket no-such-bucket") as caught:
            store.put("key", b"1", IfAbsent())
        assert not isinstance(caught.value, ObjectNotFoundError)
