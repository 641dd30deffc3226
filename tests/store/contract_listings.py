"""What does every bucket promise about its keys, and about the order in which it lists them?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import pytest

from bucketry.store.contract import Entry, Folder, IfAbsent, IfMatch
from store.contract_large import read_range

if TYPE_CHECKING:
    from bucketry.store.contract import Store

ODD_KEYS = (
    "odd/a b",
    "odd/a%20b",
    "odd/a+b",
    "odd/a&b=c",
    "odd/a#b",
    "odd/a?b",
    "odd/a~b",
    "odd/a'b\"c",
    "odd/a(b)[c]{d}",
    "odd/a;b:c,d@e!f$g*h",
    "odd/r\u00e9sum\u00e9.bin",
    "odd/\u6a21\u578b",
    "odd/\U0001f916",
    "odd/.hidden",
    "odd/trailing.",
    "odd/..dots..",
    "odd/-dash",
    "odd/<tag>",
    "odd/" + "long" * 50,
)

# Everything that sorts around "/": a folder "a", and names that begin with "a" and go on below or above it.
ORDERED_KEYS = (
    "order/A",
    "order/a b",
    "order/a!/x",
    "order/a-",
    "order/a-b/c",
    "order/a.b",
    "order/a/b",
    "order/a/b.c",
    "order/a/c/d",
    "order/a/\u00e9",
    "order/a0",
    "order/aa",
    "order/b",
    "order/\u00e9",
    "order/\uff5e",
    "order/\U0001f916",
)


class ListingContract:
    """Listing, and keys that are odd but legal."""

    # More than one page of a listing.
    many_keys: ClassVar[int] = 1005

    def test_a_listing_of_nothing_is_empty(self, store: Store) -> None:
        assert list(store.list("")) == []
        assert list(store.list("no/such/")) == []
        assert list(store.list("no/such/", delimiter="/")) == []

    def test_a_listing_is_in_the_byte_order_of_whole_keys(self, store: Store) -> None:
        for key in reversed(ORDERED_KEYS):
            store.put(key, b"1", IfAbsent())
        assert listed_keys(store, "order/") == sorted(ORDERED_KEYS, key=str.encode)
        assert listed_keys(store, "") == sorted(ORDERED_KEYS, key=str.encode)

    def test_a_prefix_need_not_end_at_a_folder(self, store: Store) -> None:
        for key in ("heads/ab", "heads/abc/d", "heads/b", "headstrong", "a"):
            store.put(key, b"1", IfAbsent())
        assert listed_keys(store, "heads/a") == ["heads/ab", "heads/abc/d"]
        assert listed_keys(store, "heads") == ["heads/ab", "heads/abc/d", "heads/b", "headstrong"]
        assert listed_keys(store, "heads/ab") == ["heads/ab", "heads/abc/d"]
        assert listed_keys(store, "heads/abc/d") == ["heads/abc/d"]
        assert listed_keys(store, "heads/abc/d/") == []

    def test_a_delimiter_folds_deeper_keys_into_folders(self, store: Store) -> None:
        for key in ("h/a.json", "h/a/x", "h/a/y/z", "h/b/c", "h/z", "other"):
            store.put(key, b"1", IfAbsent())
        assert listed_names(store, "h/") == ["h/a.json", "h/a/", "h/b/", "h/z"]
        assert listed_names(store, "") == ["h/", "other"]
        assert listed_names(store, "h/a") == ["h/a.json", "h/a/"]
        assert listed_names(store, "h/a/") == ["h/a/x", "h/a/y/"]
        assert listed_names(store, "h") == ["h/"]

    def test_a_folder_disappears_with_its_last_object(self, store: Store) -> None:
        store.put("h/a/x", b"1", IfAbsent())
        store.delete("h/a/x")
        assert listed_names(store, "h/") == []
        assert listed_names(store, "") == []

    def test_a_listing_shows_each_write_at_once(self, store: Store) -> None:
        etag = store.put("key", b"1", IfAbsent())
        for number in range(20):
            etag = store.put("key", b"x" * number, IfMatch(etag))
            (entry,) = store.list("")
            assert isinstance(entry, Entry)
            assert (entry.key, entry.etag, entry.size_bytes) == ("key", etag, number)

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_an_odd_but_legal_key_is_literal(self, store: Store, key: str) -> None:
        body = key.encode()
        etag = store.put(key, body, IfAbsent())
        assert store.get(key).body == body
        assert store.stat(key).key == key
        assert listed_keys(store, "") == [key]
        assert listed_keys(store, key) == [key]
        etag = store.put(key, b"2", IfMatch(etag))
        with store.open_range(key, 0, 1, etag=etag) as stream:
            assert read_range(stream, 1) == b"2"
        store.delete(key)
        assert listed_keys(store, "") == []

    def test_odd_keys_do_not_collide(self, store: Store) -> None:
        for key in ODD_KEYS:
            store.put(key, key.encode(), IfAbsent())
        assert listed_keys(store, "odd/") == sorted(ODD_KEYS, key=str.encode)
        for key in ODD_KEYS:
            assert store.get(key).body == key.encode()

    def test_a_listing_longer_than_a_page_is_complete_and_in_order(self, store: Store) -> None:
        keys = [f"many/{number:05d}/é+%" for number in range(self.many_keys)]

        def put(key: str) -> None:
            store.put(key, b"1", IfAbsent())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, keys))
        assert listed_keys(store, "many/") == keys
        assert listed_names(store, "many/") == [key.removesuffix("é+%") for key in keys]


def listed_keys(store: Store, prefix: str) -> list[str]:
    entries = list(store.list(prefix))
    assert all(isinstance(entry, Entry) for entry in entries)
    return [entry.key for entry in entries if isinstance(entry, Entry)]


def listed_names(store: Store, prefix: str) -> list[str]:
    found = store.list(prefix, delimiter="/")
    return [entry.prefix if isinstance(entry, Folder) else entry.key for entry in found]
