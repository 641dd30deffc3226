"""The grammar of an artifact's path.

A path becomes a file name on the machine of whoever pulls, so it must mean the same file on every system, and
never one outside the target. Paths are rejected, never normalised, and nothing in them is ever expanded:
`~/.bashrc` is a file `.bashrc` in a folder `~`.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.schema.names import WINDOWS_DEVICES
from bucketry.schema.text import displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_PATH_BYTES = 1_024
LONGEST_SEGMENT_BYTES = 255
MOST_SEGMENTS = 32
MOST_PATHS = 20_000
OWN_FOLDER = ".bucketry"
"""Where the client keeps its receipt beside the artifacts."""

# Parts of letters, digits and a few signs, with dots between them alone: no rule is against those, but that of devices.
_PLAIN_PART = r"[A-Za-z0-9_+=@-]++(?:\.++[A-Za-z0-9_+=@-]++)*+"
_PLAIN_PATH = re.compile(f"{_PLAIN_PART}(?:/{_PLAIN_PART})*+")


def parse_artifact_path(text: str) -> str:
    """Return the path, unchanged, if it is one; raise `UsageError` that names the rule it breaks."""
    fault = "" if is_plain_artifact_path(text) else next(_faults(text), "")
    if fault:
        raise UsageError(
            f'"{_shown(text)}" cannot be the path of an artifact: {fault}',
            advice="rename the file, or leave it out",
        )
    return text


def is_plain_artifact_path(text: str) -> bool:
    """Tell whether a text is a path that needs no closer look, as most are; False says nothing against it."""
    if not _PLAIN_PATH.fullmatch(text) or len(text) > LONGEST_SEGMENT_BYTES or text.count("/") >= MOST_SEGMENTS:
        return False
    return not any(name.partition(".")[0] in WINDOWS_DEVICES for name in text.lower().split("/"))


def check_paths_together(paths: Iterable[str]) -> None:
    """Raise `UsageError` if the paths, each a parsed one, cannot lie side by side on every file system."""
    bounded = list(islice(paths, MOST_PATHS + 1))
    if len(bounded) > MOST_PATHS:
        raise UsageError(
            f"there are more than {MOST_PATHS:,} artifacts, the most that a version can have",
            advice="leave files out, or pack small ones into one",
        )
    # With "/" as the lowest character, what lies in a folder comes right after a file of that name, so that
    # looking at neighbours finds every clash.
    ordered = sorted((_folded(path).replace("/", "\0"), path) for path in bounded)
    for (folded, path), (next_folded, next_path) in pairwise(ordered):
        if next_folded == folded:
            raise UsageError(
                f'the paths "{_shown(path)}" and "{_shown(next_path)}" are the same file on some systems',
                advice="rename or leave out one of them",
            )
        if next_folded.startswith(f"{folded}\0"):
            raise UsageError(
                f'"{_shown(path)}" is a file and also the folder of "{_shown(next_path)}" (on some systems)',
                advice="rename or leave out one of them",
            )


def _faults(text: str) -> Iterator[str]:
    """Yield the rules that the text breaks. Each relies on those before it: only the first one is sound."""
    if not text:
        yield "it is empty"
    # A character takes a byte at least, so a hostile text is not scanned further than this.
    if len(text) > LONGEST_PATH_BYTES:
        yield f"it is longer than {LONGEST_PATH_BYTES:,} bytes"
    yield from _faults_in_characters(text)
    if len(text.encode()) > LONGEST_PATH_BYTES:
        yield f"it is longer than {LONGEST_PATH_BYTES:,} bytes"
    if text.startswith("/"):
        yield 'it starts with "/"; a path is relative'
    segments = text.split("/")
    if len(segments) > MOST_SEGMENTS:
        yield f"it has more than {MOST_SEGMENTS} parts"
    if _folded(segments[0]) == OWN_FOLDER:
        yield f'"{OWN_FOLDER}" is the folder for this program\'s own files'
    for segment in segments:
        yield from _faults_in_segment(segment)


def _faults_in_characters(text: str) -> Iterator[str]:
    for character in text:
        if character == "\\":
            yield "it has a backslash"
        if character == ":":
            yield "it has a colon"
    fault = fault_in_line(text)
    if fault:
        yield f"it has {fault}"
    if not unicodedata.is_normalized("NFC", text):
        yield "it is not in Unicode's composed form (NFC)"


def _faults_in_segment(segment: str) -> Iterator[str]:
    if not segment:
        yield 'it has an empty part ("//", or "/" at the end)'
    if segment in {".", ".."}:
        yield f'it has the part "{segment}"'
    if len(segment.encode()) > LONGEST_SEGMENT_BYTES:
        yield f"it has a part longer than {LONGEST_SEGMENT_BYTES} bytes"
    if segment.endswith((".", " ")):
        yield f'its part "{displayable(segment)}" ends in a dot or a space'
    if segment.startswith(" "):
        yield f'its part "{displayable(segment)}" starts with a space'
    # Windows looks at what is before the first dot, without the spaces that end it: "nul .txt" is a device.
    device = segment.partition(".")[0].rstrip(" ").casefold()
    if device in WINDOWS_DEVICES:
        yield f'"{device}" is a device name on Windows'


def _folded(path: str) -> str:
    """Return what is equal for paths that some file system may take for one.

    Each of NFKC and case folding can undo the other for a few characters, hence twice each, as in Unicode's
    compatibility caseless matching (D146).
    """
    if path.isascii():
        return path.lower()  # which is all that the rest would come to
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", path).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def _shown(path: str) -> str:
    cut = path[:LONGEST_PATH_BYTES]
    return displayable(cut) + ("..." if len(path) > len(cut) else "")
