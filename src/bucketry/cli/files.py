"""The files that the command line itself reads and writes: metrics, evidence, an exported trail."""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

LARGEST_INPUT_BYTES = 8 * 1024 * 1024
BLANK = b" \t\r\n\x00\xef\xbb\xbf"
"""What makes a file no less empty: white space, zeros that a crash left, and a byte order mark."""


def read_input(path: Path) -> bytes:
    """Return a small file's bytes; raise `UsageError` for one that is empty or over 8 MiB, or `OSError`."""
    with path.open("rb") as file:
        return _read(file, displayable(str(path)))


def read_stdin() -> bytes:
    """Return what a small file's bytes are where they come through a pipe; raise `UsageError` as for a file."""
    return _read(sys.stdin.buffer, "what stdin brings")


def write_whole(path: Path, body: bytes) -> None:
    """Write a file that appears whole or not at all, in place of an older one; raise `OSError` that names this file."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            with aside.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:  # which may name the file aside, of which the user knows nothing
        raise OSError(error.errno, error.strerror, str(path)) from error


def _read(file: BinaryIO, name: str) -> bytes:
    body = file.read(LARGEST_INPUT_BYTES + 1)
    if len(body) > LARGEST_INPUT_BYTES:
        raise UsageError(f"{name} is larger than {LARGEST_INPUT_BYTES:,} bytes", advice="give a smaller file")
    if not body.strip(BLANK):  # a pipe whose writer failed, or a redirection that emptied the file
        raise UsageError(f"{name} is empty", advice="give a file with a content")
    return body
