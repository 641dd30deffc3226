"""Remembers small things of this user from one run to the next, such as which columns a list shows.

In `BUCKETRY_STATE`, else `$XDG_STATE_HOME/bucketry` or `~/.local/state/bucketry`: one small JSON document for each kind
of thing, readable by its owner alone, and replaced whole. None of it is needed: what is damaged is moved away.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.schema.codec import FORMAT, decode, encode
from bucketry.store.modes import PRIVATE_FOLDER_MODE, make_folders
from bucketry.transfer.disk.local_files import disk_errors, find_small_file, write_private
from bucketry.trust.generations import default_state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.schema.codec import Document

LARGEST_BYTES = 256 * 1024


def find_user_document(name: str) -> Document | None:
    """Return what was remembered under a name, None if nothing was; raise `CorruptError`, once, for what is damaged."""
    path = _path(name)
    body = find_small_file(path, LARGEST_BYTES)
    if body is None:
        return None
    if len(body) > LARGEST_BYTES:
        raise set_aside(name, CorruptError(f"it is larger than {LARGEST_BYTES:,} bytes"))
    try:
        return decode(body, what=str(path))
    except CorruptError as error:
        raise set_aside(name, error) from error


def save_user_document(name: str, document: Document) -> None:
    """Remember a document under a name, in place of what is there."""
    path, body = _path(name), encode({"format": FORMAT} | document)
    with disk_errors(str(path)):
        make_folders(path.parent, PRIVATE_FOLDER_MODE)
        write_private(path, body)


def set_aside(name: str, error: CorruptError) -> CorruptError:
    """Move a damaged document out of the way, so that it is told of once, and return the error to tell."""
    path = _path(name)
    kept = path.with_suffix(".damaged")
    with suppress(OSError):
        path.replace(kept)
    return CorruptError(f"what was remembered in {path} cannot be used: {error.message}", advice=f"it is {kept} now")


def _path(name: str) -> Path:
    return default_state_folder(os.environ).parent / f"{name}.json"
