"""Does a real S3 server keep the promises of a store, and is what it cannot do said clearly?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import DeniedError, NotFoundError, UnavailableError
from bucketry.store.contract import Entry, Folder, IfAbsent, IfMatch, ObjectNotFoundError, Store
from servers.process import S3Server
from servers.weed import as_reader
from store.contract import StoreContract
from store.s3_stores import open_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.store.s3.store import S3Store


class TestSeaweedFS(StoreContract):
    @pytest.fixture
    def store(self, weed: S3Server, request: pytest.FixtureRequest) -> Iterator[Store]:
        with open_s3(weed, f"contract/{abs(hash(request.node.nodeid))}") as store:
            yield store

    def test_a_part_sent_again_replaces_the_first(self, store: Store) -> None:
        # It lists both sendings, so that the part counts as not sent; the one that is named at the end is used.
        upload = store.start_upload("big")
        store.upload_part("big", upload, 1, 0, memoryview(b"first"))
        part = store.upload_part("big", upload, 1, 0, memoryview(b"again"))
        assert list(store.list_parts("big", upload)) == []
        store.complete_upload("big", upload, [part])
        assert store.get("big").body == b"again"

    def test_a_folder_disappears_with_its_last_object(self, store: Store) -> None:
        # It keeps an empty folder for a while, and shows it to those who ask for folders.
        store.put("h/a/x", b"1", IfAbsent())
        store.delete("h/a/x")
        assert list(store.list("")) == []
        assert list(store.list("", delimiter="/")) in ([], [Folder("h/")])


@pytest.fixture
def store(weed: S3Server, request: pytest.FixtureRequest) -> Iterator[S3Store]:
    with open_s3(weed, f"more/{abs(hash(request.node.nodeid))}") as opened:
        yield opened


def test_the_store_knows_what_serves_it(store: S3Store, weed: S3Server) -> None:
    assert store.name.startswith("s3://registry/more/")
    assert store.endpoint == weed.endpoint_url
    assert store.server_product == ""
    list(store.list(""))
    assert store.server_product.startswith("SeaweedFS")


def test_bytes_that_were_damaged_on_their_way_are_refused(store: S3Store) -> None:
    body, other = memoryview(b"sent"), hashlib.sha256(b"meant").hexdigest()
    with pytest.raises(UnavailableError, match="BadDigest"):
        store.put_blob("blob", body, sha256=other)
    upload = store.start_upload("big")
    with pytest.raises(UnavailableError, match="BadDigest"):
        store.upload_part("big", upload, 1, 0, body, sha256=other)
    assert list(store.list("")) == []
    assert list(store.list_parts("big", upload)) == []
    store.abort_upload("big", upload)


def test_registries_under_different_prefixes_do_not_meet(weed: S3Server) -> None:
    with open_s3(weed, "apart/a") as one, open_s3(weed, "apart/a-b") as other:
        one.put("key", b"1", IfAbsent())
        other.put("key", b"2", IfAbsent())
        assert one.get("key").body == b"1"
        assert [entry.key for entry in one.list("") if isinstance(entry, Entry)] == ["key"]
        one.delete("key")
        assert other.get("key").body == b"2"


def test_a_reader_may_read_and_is_denied_to_write(weed: S3Server) -> None:
    with open_s3(weed, "denied") as owner:
        etag = owner.put("key", b"1", IfAbsent())
        with open_s3(as_reader(weed), "denied") as reader:
            assert reader.get("key").body == b"1"
            for write in (
                lambda: reader.put("key", b"2", IfMatch(etag)),
                lambda: reader.put("other", b"2", IfAbsent()),
                lambda: reader.delete("key"),
                lambda: reader.start_upload("big"),
            ):
                with pytest.raises(DeniedError):
                    write()
        assert owner.get("key").body == b"1"


def test_a_wrong_secret_is_denied_and_not_shown(weed: S3Server) -> None:
    wrong = S3Server(weed.endpoint_url, weed.bucket, weed.access_key, "not-the-secret-key")
    with open_s3(wrong) as store:
        with pytest.raises(DeniedError, match="secret key is wrong") as caught:
            store.get("key")
        with pytest.raises(DeniedError):
            store.stat("key")
    assert "not-the-secret-key" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert weed.access_key not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_an_unknown_access_key_is_denied(weed: S3Server) -> None:
    unknown = S3Server(weed.endpoint_url, weed.bucket, "AKIANOBODYNOBODY0000", "whatever")
    with open_s3(unknown) as store, pytest.raises(DeniedError, match="does not know this access key"):
        list(store.list(""))


def test_a_missing_bucket_is_named_by_every_call_that_can_tell(weed: S3Server) -> None:
    with open_s3(weed, bucket="no-such-bucket") as store:
        for call in (
            lambda: store.get("key"),
            lambda: store.put("key", b"1", IfAbsent()),
            lambda: store.start_upload("key"),
            lambda: list(store.list("")),
        ):
            with pytest.raises(NotFoundError, match="no bucket no-such-bucket") as caught:
                call()
            assert not isinstance(caught.value, ObjectNotFoundError)
