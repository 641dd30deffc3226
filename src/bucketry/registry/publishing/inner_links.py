"""Finds the files of a version that name another one that is not there, or one outside of it.

An index names shards, an ONNX graph its external data, the first part of a GGUF the others. Whoever pulls such a
version finds out when the model is loaded, or has a file read that the version never held. Looked at before anything is
uploaded; a file that is not what its name says makes no promise here, and none of its links are believed.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.registry.publishing.onnx_links import find_external_locations
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bucketry.transfer.up.outgoing import SourceFile

LARGEST_INDEX_BYTES = 64 * 1024 * 1024
"""The index of a model with a trillion parameters has some 10 MiB."""
MOST_PARTS_NAMED = 3
LONGEST_SHOWN = 200

_INDEX = re.compile(r".+\.(?:index(?:\.[^/.]+)?|weights)\.json")
_SPLIT = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf")


def check_inner_links(files: Sequence[SourceFile]) -> None:
    """Raise `UsageError` naming the first file, and what it names that is missing or lies outside of the version."""
    labels = frozenset(file.label for file in files)
    for file in files:
        label = displayable(file.label)
        for link in _links(file):
            if _leads_out(link):
                raise UsageError(
                    f'{label} names "{_shown(link)}", which lies outside of the version',
                    advice="put the file beside the one that names it, and name it so",
                )
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file.label), link))
            if target not in labels:
                raise UsageError(
                    f'{label} names "{_shown(link)}", which is not among the files to publish',
                    advice=f"publish {_shown(target)} with it, or correct {label}",
                )
    _check_splits(labels)


def _links(file: SourceFile) -> Iterator[str]:
    name = posixpath.basename(file.label)
    if _INDEX.fullmatch(name):
        document = _read_json(file.path, file.size_bytes, file.label)
        weights = document.get("weight_map") if isinstance(document, dict) else None
        named: dict[str, None] = {}  # each shard once, in the order of the index
        for value in weights.values() if isinstance(weights, dict) else ():
            shards = value if isinstance(value, list) else (value,)
            named.update(dict.fromkeys(shard for shard in shards if isinstance(shard, str)))
        yield from named
    elif name == "modules.json":
        document = _read_json(file.path, file.size_bytes, file.label)
        for module in document if isinstance(document, list) else ():
            link = module.get("path") if isinstance(module, dict) else None
            # A module without files of its own has no folder, so that only a way out is a fault.
            if isinstance(link, str) and link and _leads_out(link):
                yield link
    elif name.lower().endswith(".onnx"):
        yield from find_external_locations(file.path)


def _check_splits(labels: frozenset[str]) -> None:
    """Raise `UsageError` where a GGUF in parts lacks one: its first part says how many there are."""
    for label in sorted(labels):
        found = _SPLIT.fullmatch(label)
        if found is None:
            continue
        stem, count = found[1], int(found[3])
        parts = (f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1))
        missing = [name for name in parts if name not in labels][:MOST_PARTS_NAMED]
        if missing:
            raise UsageError(
                f"{displayable(label)} is one of {count:,} parts, and {_shown(', '.join(missing))} "
                f"{'is' if len(missing) == 1 else 'are'} not among the files to publish",
                advice="publish all parts together",
            )


def _read_json(path: Path, size_bytes: int, label: str) -> object:
    """Return what a JSON file says, None for one that is no JSON; raise `UsageError` for one that is too large."""
    if size_bytes > LARGEST_INDEX_BYTES:
        raise UsageError(
            f"{displayable(label)} has {size_bytes:,} bytes; the limit of an index is {LARGEST_INDEX_BYTES:,}",
            advice="give it another name if it is none",
        )
    try:
        with path.open("rb") as file:
            value: object = json.loads(file.read(LARGEST_INDEX_BYTES + 1))
    except (ValueError, RecursionError):
        return None
    return value


def _leads_out(link: str) -> bool:
    """Return whether a link could name anything but a file at or below the folder of the file that names it."""
    is_absolute = link.startswith(("/", "\\", "~")) or (len(link) > 1 and link[1] == ":") or "://" in link
    return is_absolute or not link or ".." in re.split(r"[/\\]", link) or "\0" in link


def _shown(text: str) -> str:
    return displayable(text[:LONGEST_SHOWN])
