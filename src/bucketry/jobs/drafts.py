"""Writes a publish down so that it is the same publish however much later its bytes are sent.

All of its manifest but the artifacts, and which files are meant: a file whose size, time or number on its disk is not
that of the day it was ordered on is another file. Nothing in a draft is secret that the manifest would not publish.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.frozen import frozen
from bucketry.registry.publishing.publish import PreparedPublish
from bucketry.schema.codec import FORMAT, Fields, decode, encode
from bucketry.schema.documents.manifest import MOST_ARTIFACTS, decode_manifest
from bucketry.schema.paths import parse_artifact_path
from bucketry.transfer.disk.hashing import changed_while_published
from bucketry.transfer.disk.local_files import disk_errors
from bucketry.transfer.up.outgoing import SourceFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.schema.codec import Document


@frozen
class Draft:
    """A publish whose bytes are not sent yet. `marks` has for each path in the version what tells its file."""

    prepared: PreparedPublish
    marks: Mapping[str, str]

    def check_unchanged(self) -> None:
        """Raise `RejectedError` for a file that is not the one that was meant."""
        for file in self.prepared.files:
            if _mark(file) != self.marks[file.label]:
                raise changed_while_published(file.path)


def draft_of(prepared: PreparedPublish) -> Draft:
    """Return a publish with its files as they are now."""
    return Draft(prepared, {file.label: _mark(file) for file in prepared.files})


def encode_draft(draft: Draft, token: str) -> bytes:
    """Return what is written down; raise `RejectedError` for what is too large. No two tokens give the same bytes."""
    prepared = draft.prepared
    return encode(
        {
            "format": FORMAT,
            "token": token,
            "manifest": encode(prepared.draft.to_document()).decode(),  # as a text: it may be nested as deep as allowed
            "idempotency_key": prepared.idempotency_key,
            "files": [_file_document(file, draft.marks[file.label]) for file in prepared.files],
        }
    )


def decode_draft(body: bytes, *, what: str) -> Draft:
    """Return what was written down; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    manifest = decode_manifest(fields.text("manifest", longest=len(body)).encode(), what=what)
    files, marks = [], {}
    for inner in fields.consumed_inners("files", most=MOST_ARTIFACTS):
        path, label = Path(inner.text("path")), inner.parsed("label", parse_artifact_path)
        if not path.is_absolute():
            raise CorruptError(f"{what}: a file's path is not absolute")
        files.append(SourceFile(path, label, inner.integer("size_bytes")))
        marks[label] = inner.text("mark", longest=100)
    return Draft(PreparedPublish(manifest, tuple(files), fields.optional_text("idempotency_key")), marks)


def _file_document(file: SourceFile, mark: str) -> Document:
    return {"path": str(file.path), "label": file.label, "size_bytes": file.size_bytes, "mark": mark}


def _mark(file: SourceFile) -> str:
    with disk_errors(str(file.path)):
        try:
            status = file.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return "missing"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
