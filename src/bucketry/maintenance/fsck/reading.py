"""Reads for a check what may be damaged, without ending at the first thing that cannot be read.

An object that the store has and does not give is a finding like any other. A store that is away, a bucket that is not
there and an interrupt are none: nothing could be checked, so they are raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bucketry.errors import UNREADABLE, NewerFormatError
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.registry.core.immutable import find_object
from bucketry.schema.codec import digest_of
from bucketry.store.contract import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bucketry.errors import BucketryError
    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.schema.names import Digest, ModelName
    from bucketry.store.contract import Folder, Object, Store

T = TypeVar("T")


@frozen
class Unreadable:
    """Something is at the key, or might be, and cannot be read; `reason` is a part of a sentence."""

    reason: str


@frozen
class DocumentFault:
    """What is wrong with a document that something names: the end of the sentence "This is the page of ..., and"."""

    words: str
    is_newer: bool = False


def look_for(store: Store, key: str) -> Object | Unreadable | None:
    """Return the object at the key, why it cannot be read, or None if there is none."""
    try:
        return find_object(store, key)
    except UNREADABLE as error:
        return Unreadable(reason_of(error))


def read_named(store: Store, key: str, digest: Digest, decode: Callable[[bytes], T]) -> T | DocumentFault:
    """Return the document that is named by its digest, decoded, or what is wrong with it. It is read once."""
    found = look_for(store, key)
    if found is None:
        return DocumentFault("is missing")
    if isinstance(found, Unreadable):
        return DocumentFault(f"cannot be read: {found.reason}")
    if digest_of(found.body) != digest:
        return DocumentFault("its bytes are not those that were named")
    try:
        return decode(found.body)
    except UNREADABLE as error:
        return DocumentFault(f"cannot be read: {reason_of(error)}", isinstance(error, NewerFormatError))


def report(findings: Findings, kind: Kind, key: str, what: str, read: T | DocumentFault) -> T | None:
    """Return what was read; a fault is reported as of this kind, and None returned."""
    if isinstance(read, DocumentFault):
        findings.add(Kind.NEWER_FORMAT if read.is_newer else kind, key, f"This is {what}, and {read.words}.")
        return None
    return read


def list_entries(store: Store, prefix: str, findings: Findings) -> Iterator[Entry]:
    """Yield the objects below the prefix, as far as they can be listed; where they cannot, that is damage."""
    return (item for item in list_as_far(lambda: store.list(prefix), prefix, findings) if isinstance(item, Entry))


def list_as_far(
    listing: Callable[[], Iterable[Entry | Folder]], prefix: str, findings: Findings
) -> Iterator[Entry | Folder]:
    """Yield what a listing yields until it fails, which is reported as damage of the prefix."""
    try:
        yield from listing()
    except UNREADABLE as error:
        findings.add(Kind.UNLISTABLE, prefix, f"What lies below this cannot be listed: {reason_of(error)}.")


def folder_of(model: ModelName) -> str:
    """Return the part of a key that is the model's own, below each kind of object."""
    return f"{model.namespace}/{model.name}/"


def kind_of(error: BucketryError, otherwise: Kind) -> Kind:
    """Return the kind of finding that an error of reading is: what is only newer must not be restored."""
    return Kind.NEWER_FORMAT if isinstance(error, NewerFormatError) else otherwise


def reason_of(error: BucketryError) -> str:
    """Return an error's message as the end of a sentence that brings its own full stop."""
    reason = error.message.rstrip(".")
    if isinstance(error, NewerFormatError):  # for which restoring would be the wrong thing to do
        return f"{reason}: {error.advice}, and restore nothing over it"
    return reason
