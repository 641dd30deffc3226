"""How do the tests of a folder write one register often, and see that it is sound?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.store.contract import Entry, IfMatch

if TYPE_CHECKING:
    from bucketry.store.contract import ETag
    from bucketry.store.folder.store import FolderStore

KEY = "heads/team/model.json"


def commit_many(store: FolderStore, count: int, etag: ETag) -> ETag:
    for number in range(count):
        etag = store.put(KEY, f"other {number}".encode(), IfMatch(etag))
    return etag


def check_register(store: FolderStore, bodies: set[bytes]) -> None:
    """Look at the register in every way, then commit once more and see that all is well again."""
    found = store.get(KEY)
    assert found.body in bodies
    (entry,) = store.list("")
    assert isinstance(entry, Entry)
    assert (entry.etag, entry.size_bytes) == (found.etag, len(found.body))
    etag = store.put(KEY, b"after", IfMatch(found.etag))
    assert (store.get(KEY).body, store.get(KEY).etag) == (b"after", etag)
    assert store.local_path(KEY).read_bytes() == b"after"
