"""Tells whether a file is, by its content, what its name says.

Looked at is no more than a file's beginning and end, or its header; a name that says nothing is believed, unless what
lies there is only a pointer to the file, as Git LFS and its kin leave them in a clone that did not fetch.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UnsupportedError
from bucketry.registry.core.artifacts import open_artifact
from bucketry.registry.reading.safetensors_header import LENGTH_BYTES, parse_header, parse_length
from bucketry.registry.scanning.pickle_scan import holds_pickles
from bucketry.registry.scanning.tar_members import is_tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.core.artifacts import ArtifactReader
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.manifest import Artifact

LARGEST_POINTER_BYTES = 4_096
LARGEST_JSON_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 64 * 1024
FILES_AT_ONCE = 256

_POINTER = re.compile(
    rb"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/|/annex/objects/|# xet version |"
    rb"version https://xet"
)
_BEGINNINGS: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "gguf": (0, (b"GGUF",)),
    "npy": (0, (b"\x93NUMPY",)),
    "npz": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    "zip": (0, (b"PK\x03\x04", b"PK\x05\x06")),
    "keras": (0, (b"PK\x03\x04",)),
    "mar": (0, (b"PK\x03\x04",)),
    "h5": (0, (b"\x89HDF\r\n\x1a\n",)),
    "hdf5": (0, (b"\x89HDF\r\n\x1a\n",)),
    "onnx": (0, (b"\x08", b"\x12", b"\x1a", b"\x22", b"\x3a", b"\x42")),
    "tflite": (4, (b"TFL3",)),
    "parquet": (0, (b"PAR1", b"PARE")),
    "arrow": (0, (b"ARROW1", b"\xff\xff\xff\xff")),
    "feather": (0, (b"ARROW1", b"FEA1")),
    "gz": (0, (b"\x1f\x8b",)),
    "tgz": (0, (b"\x1f\x8b",)),
    "bz2": (0, (b"BZh",)),
    "xz": (0, (b"\xfd7zXZ\x00",)),
    "zst": (0, (b"\x28\xb5\x2f\xfd",)),
    "7z": (0, (b"7z\xbc\xaf\x27\x1c",)),
    "png": (0, (b"\x89PNG\r\n\x1a\n",)),
    "jpg": (0, (b"\xff\xd8\xff",)),
    "jpeg": (0, (b"\xff\xd8\xff",)),
    "gif": (0, (b"GIF87a", b"GIF89a")),
    "webp": (8, (b"WEBP",)),
    "wav": (8, (b"WAVE",)),
    "mp4": (4, (b"ftyp",)),
    "pdf": (0, (b"%PDF-",)),
}
"""Where the mark of a format stands, and how it may read."""
_TEXTS = frozenset(
    [
        "cfg",
        "conf",
        "css",
        "csv",
        "gitattributes",
        "gitignore",
        "html",
        "ini",
        "jinja",
        "jinja2",
        "js",
        "jsonl",
        "ipynb",
        "lock",
        "log",
        "license",
        "makefile",
        "markdown",
        "md",
        "merges",
        "ndjson",
        "notice",
        "pbtxt",
        "py",
        "readme",
        "rst",
        "sh",
        "sql",
        "svg",
        "tex",
        "text",
        "toml",
        "tsv",
        "txt",
        "vocab",
        "xml",
        "yaml",
        "yml",
    ]
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))


def faults_in_formats(session: Session, resolved: ResolvedVersion) -> dict[str, str]:
    """Return, for each file of a version that is not what its name says, why not."""

    def fault_in(artifact: Artifact) -> str:
        suffix = _suffix(artifact.path)
        with open_artifact(session, resolved, artifact.path) as file:
            if _may_point(artifact) and _POINTER.search(file.read_range(0, artifact.size_bytes)):
                return "is a pointer of Git LFS or its kin, not the file"
            return _FAULTS_IN[suffix](file, suffix) if suffix in _FAULTS_IN else ""

    asked = [one for one in resolved.manifest.artifacts if _suffix(one.path) in _FAULTS_IN or _may_point(one)]
    found: dict[str, str] = {}
    for first in range(0, len(asked), FILES_AT_ONCE):
        batch = asked[first : first + FILES_AT_ONCE]
        faults = session.map_in_parallel(fault_in, batch)
        found.update({one.path: fault for one, fault in zip(batch, faults, strict=True) if fault})
    return found


def _may_point(artifact: Artifact) -> bool:
    return artifact.size_bytes <= LARGEST_POINTER_BYTES


def _suffix(path: str) -> str:
    return path.rpartition("/")[2].lower().rpartition(".")[2]


def _fault_in_safetensors(file: ArtifactReader, _: str) -> str:
    what = "it"
    try:
        prefix = file.read_range(0, min(LENGTH_BYTES, file.size_bytes))
        stop = LENGTH_BYTES + parse_length(prefix, file_bytes=file.size_bytes, what=what)
        parse_header(file.read_range(LENGTH_BYTES, stop), file_bytes=file.size_bytes, what=what)
    except (CorruptError, UnsupportedError) as error:
        return error.message.replace("it is not", "is not", 1)
    return ""


def _fault_in_json(file: ArtifactReader, suffix: str) -> str:
    if file.size_bytes > LARGEST_JSON_BYTES:
        return _fault_in_text(file, suffix)
    try:
        json.loads(file.read_range(0, file.size_bytes))
    except (ValueError, RecursionError):
        return "is not JSON"
    return ""


def _fault_in_text(file: ArtifactReader, _: str) -> str:
    head = file.read_range(0, min(HEAD_BYTES, file.size_bytes))
    # In UTF-8, in UTF-16 with its mark, or in an encoding of single bytes.
    if not head.startswith((b"\xff\xfe", b"\xfe\xff")) and head.translate(None, _CONTROL) != head:
        return "is not text"
    return "is a pickle" if holds_pickles(io.BytesIO(head)) else ""


def _fault_in_beginning(file: ArtifactReader, suffix: str) -> str:
    place, marks = _BEGINNINGS[suffix]
    stop = place + max(len(mark) for mark in marks)
    head = file.read_range(place, min(stop, file.size_bytes)) if file.size_bytes > place else b""
    return "" if head.startswith(marks) else f"is not {suffix} by its content"


def _fault_in_tar(file: ArtifactReader, _: str) -> str:
    return "" if is_tar(file.read_range(0, min(512, file.size_bytes))) else "is not tar by its content"


_FAULTS_IN: dict[str, Callable[[ArtifactReader, str], str]] = {
    **dict.fromkeys(_BEGINNINGS, _fault_in_beginning),
    **dict.fromkeys(_TEXTS, _fault_in_text),
    "safetensors": _fault_in_safetensors,
    "json": _fault_in_json,
    "tar": _fault_in_tar,
}
