"""The document that says that a version's files lie under their own names, all of them, for engines that load those.

It is written after the last file and removed before the first, so that whoever looks for it first finds a version
complete or not at all. Its bytes follow from the version and the selection: whoever makes it again makes the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema import keys
from bucketry.schema.codec import FORMAT, Document, Fields, decode, encode
from bucketry.schema.names import Digest, ModelName, parse_model_name
from bucketry.schema.paths import parse_artifact_path

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_PATTERNS = 64
LONGEST_PATTERN = 1_024
SELECTION_DIGITS = 16


@frozen
class ServingSelection:
    """Which files are to be served, by shell globs over whole paths; without any, what serving needs."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `UsageError` for more or longer patterns than a document holds."""
        patterns = (*self.include, *self.exclude)
        if len(patterns) > MOST_PATTERNS or any(len(one) > LONGEST_PATTERN for one in patterns):
            raise UsageError(f"a selection has at most {MOST_PATTERNS} patterns of {LONGEST_PATTERN:,} characters")

    @property
    def name(self) -> str:
        """Return what tells its folder from those of other selections; empty for what serving needs."""
        if not self.include and not self.exclude:
            return ""
        return hashlib.sha256(encode(self.to_document())).hexdigest()[:SELECTION_DIGITS]

    def to_document(self) -> Document:
        """Return the JSON form, in which the order of patterns says nothing."""
        return {"include": sorted(set(self.include)), "exclude": sorted(set(self.exclude))}


@frozen
class ServedFile:
    """One file that is there under its own name."""

    path: str
    size_bytes: int
    sha256: Digest

    def to_document(self) -> Document:
        """Return the JSON form."""
        return {"path": self.path, "size_bytes": self.size_bytes, "sha256": self.sha256}


@frozen
class Ready:
    """What lies in a folder below `serve/`."""

    registry: str
    model: ModelName
    version: int
    manifest: Digest
    selection: ServingSelection
    files: tuple[ServedFile, ...]
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The prefix of the files."""
        return keys.serve_folder(self.model, self.version, self.selection.name)

    @property
    def key(self) -> str:
        """Where the document lies."""
        return keys.ready(self.folder)


def encode_ready(ready: Ready) -> bytes:
    """Return the document's bytes."""
    return encode(
        dict(ready.extra)
        | {
            "format": FORMAT,
            "registry": ready.registry,
            "model": str(ready.model),
            "version": ready.version,
            "manifest": ready.manifest,
            "selection": ready.selection.to_document(),
            "files": [file.to_document() for file in ready.files],
        }
    )


def decode_ready(body: bytes, *, what: str) -> Ready:
    """Return the document; raise `CorruptError`."""
    fields = Fields(decode(body, what=what), what=what)
    return Ready(
        registry=fields.text("registry"),
        model=fields.parsed("model", parse_model_name),
        version=fields.integer("version", least=1),
        manifest=fields.digest("manifest"),
        selection=_read_selection(fields.inner("selection")),
        files=tuple(
            ServedFile(
                path=inner.parsed("path", parse_artifact_path),
                size_bytes=inner.integer("size_bytes"),
                sha256=inner.digest("sha256"),
            )
            for inner in fields.inners("files")
        ),
        extra=fields.rest(),
    )


def _read_selection(fields: Fields) -> ServingSelection:
    found = [fields.items(name, most=MOST_PATTERNS) for name in ("include", "exclude")]
    if not all(isinstance(pattern, str) for patterns in found for pattern in patterns):
        raise CorruptError(f"{fields.what} has a pattern that is no text")
    try:
        return ServingSelection(tuple(found[0]), tuple(found[1]))
    except UsageError as error:
        raise CorruptError(f"{fields.what}: {error.message}") from error
