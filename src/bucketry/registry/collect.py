"""Which files does a publish take, and under which names?

A folder's contents keep their paths relative to it; a single file its base name; a collision is an error. Nothing
but regular files is published: a link could name something else tomorrow, and a device has no end.
"""

from __future__ import annotations

import mimetypes
import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bucketry.errors import DeniedError, NotFoundError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.paths import MOST_SEGMENTS, OWN_FOLDER, check_paths_together, parse_artifact_path
from bucketry.schema.text import displayable
from bucketry.transfer.outgoing import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLANK = b" \t\r\n\x00\xef\xbb\xbf"
LARGEST_BLANK_BYTES = 64 * 1024
CARD_NAME = "README.md"
_TYPES = mimetypes.MimeTypes(filenames=())  # without the machine's own files, which differ between machines
_OWN_TYPES = {
    ".md": "text/markdown",
    ".jsonl": "application/jsonl",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


@frozen
class Collection:
    """The files of a version in the order of their paths, and the path of the model card among them, if any.

    The label of a file is the path that it gets as an artifact; its path is where it lies here.
    """

    files: tuple[SourceFile, ...]
    card: str | None


def collect_files(sources: Sequence[Path], *, card: Path | None = None) -> Collection:
    """Return what the sources (files and folders) hold; raise `UsageError` for anything that cannot be published."""
    files = [file for source in sources for file in _walk(source)]
    card_path = CARD_NAME if any(file.label == CARD_NAME for file in files) else None
    if card is not None:
        _check_not_blank(card)
        given = _file(card, CARD_NAME, card.stat()) if card.exists() else _missing(card)
        same = next((file for file in files if _is_same_file(file.path, card)), None)
        card_path = same.label if same else CARD_NAME
        files += [] if same else [given]
    _check_unique(files)
    check_paths_together(file.label for file in files)
    if not files:
        named = ", ".join(displayable(str(source)) for source in sources)
        raise UsageError(f"there is no file to publish in {named}", advice="name a file, or a folder with files")
    return Collection(tuple(sorted(files, key=lambda file: file.label)), card_path)


def media_type(path: str) -> str:
    """Return the media type that a file's name suggests."""
    suffix = PurePosixPath(path).suffix.lower()
    return _OWN_TYPES.get(suffix) or _TYPES.guess_type(path)[0] or "application/octet-stream"


def _walk(source: Path) -> Iterator[SourceFile]:
    try:
        status = source.stat()
    except FileNotFoundError:
        _missing(source)
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(source))} may not be read") from error
    if stat.S_ISDIR(status.st_mode):
        yield from _walk_folder(source, "")
    else:
        yield _file(source, source.name, status)


def _walk_folder(folder: Path, prefix: str) -> Iterator[SourceFile]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(folder))} may not be read") from error
    if entries and prefix.count("/") >= MOST_SEGMENTS:  # said here, or a deep nest would end Python's own stack
        raise UsageError(
            f"{displayable(str(folder))} is nested too deep: a path has at most {MOST_SEGMENTS} parts",
            advice="move it up, or leave it out",
        )
    for entry in entries:
        path = prefix + entry.name
        if path == OWN_FOLDER:
            continue  # where a pull keeps its receipt
        if entry.is_dir(follow_symlinks=False):
            yield from _walk_folder(Path(entry.path), path + "/")
        else:
            yield _file(Path(entry.path), path, entry.stat(follow_symlinks=False))


def _file(local: Path, path: str, status: os.stat_result) -> SourceFile:
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(
            f"{displayable(str(local))} is a symbolic link", advice="publish a copy: `cp -rL` follows links"
        )
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{displayable(str(local))} is not a regular file", advice="move it out of the folder")
    if status.st_size == 0:
        _check_empty(local)
    try:
        return SourceFile(local, parse_artifact_path(path), status.st_size)
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {path!a} is not UTF-8", advice="rename the file") from error


def _check_empty(local: Path) -> None:
    """Refuse a file that is made up as it is read, as those in `/proc` are: its system says that it has no bytes."""
    try:
        with local.open("rb") as file:
            is_made_up = bool(file.read(1)) and os.fstat(file.fileno()).st_size == 0
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(local))} may not be read") from error
    if is_made_up:
        raise UsageError(
            f"{displayable(str(local))} is not a plain file on a disk: it says that it is empty, and is not",
            advice="publish a copy of it",
        )


def _missing(path: Path) -> SourceFile:
    raise NotFoundError(f"there is no file {displayable(str(path))}")


def _check_unique(files: Sequence[SourceFile]) -> None:
    seen: dict[str, SourceFile] = {}
    for file in files:
        other = seen.setdefault(file.label, file)
        if other is not file:
            raise UsageError(
                f"{displayable(str(other.path))} and {displayable(str(file.path))} would both be "
                f"{displayable(file.label)}",
                advice="publish one folder that holds both under different names",
            )


def _is_same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _check_not_blank(card: Path) -> None:
    """Raise `UsageError` for a card that was named, and says nothing: whoever names one means to show it."""
    if card.is_file() and card.stat().st_size <= LARGEST_BLANK_BYTES and not card.read_bytes().strip(BLANK):
        raise UsageError(f"{displayable(str(card))} is empty", advice="write the card, or leave --card out")
