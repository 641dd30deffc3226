"""Finds and takes away the documents that say that a version may be loaded from `serve/`.

Whoever refuses a version takes them away after the refusal is on record, and whoever writes one looks afterwards
whether there is a refusal. So of two that meet, one sees the other, and no refused version stays ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.registry.core.immutable import find_object
from bucketry.registry.core.registers import load_head
from bucketry.registry.core.rows import find_row
from bucketry.schema import keys
from bucketry.schema.documents.ready import decode_ready
from bucketry.schema.documents.states import State
from bucketry.store.contract import Folder

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.ready import Ready
    from bucketry.schema.names import ModelName


def list_serve_folders(session: Session, model: ModelName, version: int) -> list[str]:
    """Return the folders that hold files of a version under their own names, one for each selection."""
    listed = session.store.list(keys.serve_folders(model), delimiter="/")
    folders = (item.prefix for item in listed if isinstance(item, Folder))
    return [folder for folder in folders if keys.find_serve_place(folder) == (model, version, folder)]


def find_ready(session: Session, folder: str) -> Ready | None:
    """Return what a folder says it holds, or None where it is not complete; raise `CorruptError`."""
    key = keys.ready(folder)
    found = find_object(session.store, key)
    if found is None:
        return None
    ready = decode_ready(found.body, what=key)
    session.check_registry(ready.registry, key=key)
    return ready


def withdraw(session: Session, model: ModelName, version: int) -> tuple[str, ...]:
    """Make a version no longer ready, in no selection; return the folders. The files stay until `gc` frees them."""
    folders = tuple(list_serve_folders(session, model, version))
    for folder in folders:
        session.store.delete(keys.ready(folder))
    return folders


def is_gone(session: Session, model: ModelName, version: int) -> bool:
    """Return whether a version was refused or deleted, which is for ever, or never was; False where nobody can tell.

    So nobody can make its files ready any more: whoever looks after writing the document takes it away again.
    """
    try:
        head = load_head(session, model).state
        row = None if head is None else find_row(session, head, version)
    except UNREADABLE:
        return False
    return head is not None and (row is None or row.state in {State.REJECTED, State.DELETED})
