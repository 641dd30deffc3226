"""Collects the files that a publish takes, under the names that they get.

A folder's contents keep their paths relative to it; a single file its base name; a collision is an error. Nothing
but regular files is published: a link could name something else tomorrow, and a device has no end. The links of a
snapshot in Hugging Face's cache are followed to the blobs of the same repository, which are named by their content.
"""

from __future__ import annotations

import mimetypes
import os
import shlex
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bucketry.errors import DeniedError, NotFoundError, UsageError
from bucketry.frozen import frozen
from bucketry.registry.publishing.secret_files import secret_in
from bucketry.registry.publishing.selection import FileSelection, Sieve
from bucketry.schema.paths import MOST_SEGMENTS, OWN_FOLDER, check_paths_together, parse_artifact_path
from bucketry.schema.text import displayable
from bucketry.transfer.up.outgoing import SourceFile

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

    The label of a file is the path that it gets as an artifact; its path is where it lies here. `left_out` are the
    files and folders (which end in a slash) that were left out, as they are called in the folder that was named.
    """

    files: tuple[SourceFile, ...]
    card: str | None
    left_out: tuple[str, ...] = ()


def collect_files(
    sources: Sequence[Path], *, card: Path | None = None, selection: FileSelection | None = None
) -> Collection:
    """Return what the sources (files and folders) hold; raise `UsageError` for anything that cannot be published."""
    selection = selection or FileSelection()
    left_out: list[str] = []
    files = [file for source in sources for file in _walk(source, selection, left_out)]
    card_path = CARD_NAME if any(file.label == CARD_NAME for file in files) else None
    if card is not None:
        card_path = _add_card(card, files)
    seen: dict[str, SourceFile] = {}
    for file in files:
        other = seen.setdefault(file.label, file)
        if other is not file:
            raise UsageError(
                f"{displayable(str(other.path))} and {displayable(str(file.path))} would both be "
                f"{displayable(file.label)}",
                advice="publish one folder that holds both under different names",
            )
    check_paths_together(file.label for file in files)
    if not files:
        named = ", ".join(displayable(str(source)) for source in sources)
        without = f" but what is left out ({', '.join(map(displayable, left_out[:3]))})" if left_out else ""
        raise UsageError(
            f"there is no file to publish in {named}{without}", advice="name a file, or a folder with files"
        )
    return Collection(tuple(sorted(files, key=lambda file: file.label)), card_path, tuple(dict.fromkeys(left_out)))


def _add_card(card: Path, files: list[SourceFile]) -> str:
    """Add a card that was named to the files, unless it is one of them, and return its path among them."""
    if not card.exists():
        raise NotFoundError(f"there is no file {displayable(str(card))}")
    if card.is_file():
        with card.open("rb") as opened:
            begun = opened.read(LARGEST_BLANK_BYTES + 1)
        if len(begun) <= LARGEST_BLANK_BYTES and not begun.strip(BLANK):  # whoever names a card means to show it
            raise UsageError(f"{displayable(str(card))} is empty", advice="write the card, or leave --card out")
    given = _named_file(card, CARD_NAME)
    same = next((file for file in files if file.path.exists() and file.path.samefile(card)), None)
    if same is None:
        files.append(given)
    return same.label if same else CARD_NAME


def media_type(path: str) -> str:
    """Return the media type that a file's name suggests."""
    suffix = PurePosixPath(path).suffix.lower()
    return _OWN_TYPES.get(suffix) or _TYPES.guess_type(path)[0] or "application/octet-stream"


def _walk(source: Path, selection: FileSelection, left_out: list[str]) -> Iterator[SourceFile]:
    try:
        status = source.stat()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {displayable(str(source))}") from error
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(source))} may not be read") from error
    if stat.S_ISDIR(status.st_mode):
        folder = _Folder(Sieve(selection, source), _blobs_of_snapshot(source), left_out)
        for file in _walk_folder(source, "", folder, only_asked_for=False):
            _check_no_secret(file, folder.sieve)
            yield file
    else:
        file = _named_file(source, source.name)
        _check_no_secret(file, Sieve(selection))
        yield file


@frozen
class _Folder:
    """What is the same for all of a folder: its patterns, where its links may go, and what was left out so far."""

    sieve: Sieve
    blobs: Path | None
    left_out: list[str]


def _walk_folder(here: Path, prefix: str, folder: _Folder, *, only_asked_for: bool) -> Iterator[SourceFile]:
    try:
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(here))} may not be read") from error
    if entries and prefix.count("/") >= MOST_SEGMENTS:  # said here, or a deep nest would end Python's own stack
        raise UsageError(
            f"{displayable(str(here))} is nested too deep: a path has at most {MOST_SEGMENTS} parts",
            advice="move it up, or leave it out",
        )
    for entry in entries:
        path = prefix + entry.name
        if path == OWN_FOLDER:
            continue  # where a pull keeps its receipt
        is_folder = entry.is_dir(follow_symlinks=False)
        named = f"{path}/" if is_folder else path
        is_out = folder.sieve.leaves_out(named)
        if is_out and not only_asked_for:
            folder.left_out.append(named)
        if is_folder:
            if not is_out or folder.sieve.may_ask_for_some_in(named):
                inner = only_asked_for or is_out
                yield from _walk_folder(Path(entry.path), named, folder, only_asked_for=inner)
        elif not is_out and (not only_asked_for or folder.sieve.is_asked_for(path)):
            yield _entry(entry, path, folder)


def _entry(entry: os.DirEntry[str], path: str, folder: _Folder) -> SourceFile:
    local, status = Path(entry.path), entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode) and folder.blobs is not None:
        target = Path(os.path.realpath(local))
        if target.parent == folder.blobs and target.is_file():
            return _file(target, path, target.stat())
        raise UsageError(
            f"{displayable(str(local))} is a symbolic link, and not one to the blobs of its repository",
            advice="download the repository again, or publish a copy: `cp -rL` follows links",
        )
    if stat.S_ISLNK(status.st_mode) and _blobs_of_snapshot(local.parent) is not None:
        snapshot = next((one for one in local.parents if one.parent.name == "snapshots"), local.parent)
        raise UsageError(
            f"{displayable(str(local))} is a symbolic link of a snapshot in Hugging Face's cache, which is published "
            "by itself",
            advice=f"publish {displayable(str(snapshot))}",
        )
    return _file(local, path, status)


def _named_file(local: Path, path: str) -> SourceFile:
    """Return a file that somebody names by itself, such as the path that `hf_hub_download` returns."""
    status = local.lstat()
    if not stat.S_ISLNK(status.st_mode):
        return _file(local, path, status)
    target = Path(os.path.realpath(local))
    if target.parent == _blobs_of_snapshot(local.parent) and target.is_file():
        return _file(target, path, target.stat())
    raise UsageError(
        f"{displayable(str(local))} is a symbolic link", advice=f"name the file itself: {displayable(str(target))}"
    )


def _blobs_of_snapshot(source: Path) -> Path | None:
    """Return where the links of a snapshot in Hugging Face's cache lead; None for any other folder.

    It lies in `models--owner--name/snapshots/<commit>`, and its files are links into `models--owner--name/blobs`.
    """
    real = Path(os.path.realpath(source))
    for folder in (real, *real.parents):
        if folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir():
            return Path(os.path.realpath(folder.parent.parent / "blobs"))
    return None


def _check_no_secret(file: SourceFile, sieve: Sieve) -> None:
    words = secret_in(file.label, file.path, file.size_bytes)
    if words and not sieve.is_asked_for(file.label):
        named = displayable(file.label)
        raise UsageError(
            f"{named} looks like {words}, and whoever reads the registry could read it for ever",
            advice=f"leave it out with --exclude {shlex.quote(named)}; if it is no secret, --include "
            f"{shlex.quote(named)} publishes it",
        )


def _file(local: Path, path: str, status: os.stat_result) -> SourceFile:
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(
            f"{displayable(str(local))} is a symbolic link", advice="publish a copy: `cp -rL` follows links"
        )
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{displayable(str(local))} is not a regular file", advice="move it out of the folder")
    if status.st_size == 0 and _is_made_up(local):
        raise UsageError(
            f"{displayable(str(local))} is not a plain file on a disk: it says that it is empty, and is not",
            advice="publish a copy of it",
        )
    try:
        return SourceFile(local, parse_artifact_path(path), status.st_size)
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {path!a} is not UTF-8", advice="rename the file") from error


def _is_made_up(local: Path) -> bool:
    """Return whether a file is made as it is read, as those in `/proc` are: its system says that it has no bytes."""
    try:
        with local.open("rb") as file:
            return bool(file.read(1)) and os.fstat(file.fileno()).st_size == 0
    except PermissionError as error:
        raise DeniedError(f"{displayable(str(local))} may not be read") from error
