"""Checks the files below `serve/`: what says that it is ready is all there, and nothing lies there for nobody."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import Unreadable, list_entries, look_for, reason_of
from bucketry.registry.serving.ready import is_gone
from bucketry.schema import keys
from bucketry.schema.documents.ready import decode_ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.ready import ServedFile
    from bucketry.store.contract import Entry


def check_served(session: Session, findings: Findings) -> None:
    """Report what is wrong below `serve/`, one folder after the other."""
    for place, group in groupby(
        list_entries(session.store, keys.SERVE, findings), lambda entry: keys.find_serve_place(entry.key)
    ):
        entries = tuple(group)
        if place is None:
            for entry in entries:
                findings.add(Kind.STRAY_KEY, entry.key, "No rule of the format puts anything here.")
        else:
            model, version, folder = place
            _check_folder(session, f"{model}:{version}", folder, entries, findings)
            if is_gone(session, model, version):
                findings.add(Kind.SERVED_FOR_NOBODY, folder, f"{model}:{version} was refused or deleted.")


def _check_folder(session: Session, what: str, folder: str, entries: Sequence[Entry], findings: Findings) -> None:
    key = keys.ready(folder)
    found = look_for(session.store, key)
    if found is None:
        told = f"Nothing says that these files of {what} are ready."
        findings.add(Kind.SERVED_INCOMPLETE, folder, told, version=what)
        return
    fault = found.reason if isinstance(found, Unreadable) else ""
    files: Sequence[ServedFile] = ()
    if not isinstance(found, Unreadable):
        try:
            ready = decode_ready(found.body, what=key)
        except UNREADABLE as error:
            fault = reason_of(error)
        else:
            files = ready.files
            fault = "" if ready.key == key else f"it is about {ready.folder}"
    if fault:
        told = f"What says that {what} is ready is not to be believed: {fault}."
        findings.add(Kind.SERVED_READY_UNREADABLE, key, told, version=what)
        return
    sizes_bytes = {entry.key: entry.size_bytes for entry in entries}
    for file in files:
        size_bytes = sizes_bytes.get(folder + file.path)
        if size_bytes != file.size_bytes:
            has = "is missing" if size_bytes is None else f"has {size_bytes:,} bytes, not {file.size_bytes:,}"
            findings.add(Kind.SERVED_FILE_WRONG, folder + file.path, f"This file of {what} {has}.", version=what)
