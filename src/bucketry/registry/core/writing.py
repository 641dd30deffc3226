"""The only door by which a document reaches the bucket; it first reads it as every reader will.

What was acknowledged must be readable: nobody can hold a `Readable` that its readers would refuse, and nothing but one
of these is written. So it is refused before the first byte of a change is sent, since all of it is made before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.frozen import frozen

if TYPE_CHECKING:
    from bucketry.store.contract import Condition, ETag, Store


@frozen
class Readable:
    """A document's key and bytes. To make one raises `UsageError` where the readers of the key refuse the bytes."""

    key: str
    body: bytes

    def __post_init__(self) -> None:
        """Decode the bytes."""
        from bucketry.schema.documents.decoders import check_document  # noqa: PLC0415 - all decoders, which no reader needs

        check_document(self.key, self.body)


def put_document(store: Store, item: Readable, condition: Condition) -> ETag:
    """Write a document under a condition, once; what the store raises is left to the caller."""
    return store.put(item.key, item.body, condition)
