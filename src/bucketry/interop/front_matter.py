"""What does the YAML at the beginning of a model card say, its texts as they are written?

The Hub finds it between two lines `---` (or to a line `...`, which ends a YAML document), after a byte order mark and
empty lines. YAML 1.1 takes `no` for false, 2026-10-07 for a date and 1e-3 for a text; the Hub, which reads YAML 1.2,
does not. Here nothing is taken for anything: each scalar is the text that stands there, and who needs a number reads
one. No tag is obeyed and no object is made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FRONT_MATTER_BYTES = 2 * 1024 * 1024
"""Cards of models that were measured on a hundred benchmarks have several hundred kB."""
DEEPEST_NESTING = 32
MOST_NODES = 500_000
"""Also of those that aliases stand for: a few lines of them can mean gigabytes."""

_BEGIN = re.compile(r"\s*---[ \t]*[\r\n]")
_BLOCK = re.compile(r"\s*---[ \t]*[\r\n]+(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_NULL = "tag:yaml.org,2002:null"


def begins_front_matter(text: str) -> bool:
    """Return whether a file begins as a card does."""
    return _BEGIN.match(text) is not None


def read_front_matter(text: str, field: str, *, what: str) -> object:
    """Return one field of a card's front matter: lists, tables and texts, and None where it is empty or not there.

    Raises `CorruptError` for what is not YAML, a table with the same key twice, and what is too large.
    """
    found = _BLOCK.match(text.replace("\r\n", "\n").replace("\r", "\n"))
    if found is None:
        raise CorruptError(f"{what} begins like a model card, but its front matter has no end", advice="close it: ---")
    root = _compose(found[1], what)
    return _Reader(what).field(root, field)


def _compose(text: str, what: str) -> Any:  # noqa: ANN401 - the library's nodes have no types
    import yaml  # noqa: PLC0415 - only a card needs it

    if len(text) > LARGEST_FRONT_MATTER_BYTES:
        raise CorruptError(f"{what}: the front matter is larger than {LARGEST_FRONT_MATTER_BYTES:,} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST_NESTING or count > MOST_NODES:
                raise CorruptError(f"{what}: the front matter is too large, or deeper than {DEEPEST_NESTING} levels")
        return yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        raise CorruptError(f"{what}: the front matter is not valid YAML: {first}", advice="mend it") from error


class _Reader:
    """Makes plain values of nodes, as many as are allowed."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.nodes_left = MOST_NODES

    def field(self, root: Any, name: str) -> object:  # noqa: ANN401
        if root is None or root.id != "mapping":
            return None
        found = [value for key, value in root.value if key.id == "scalar" and key.value == name]
        if len(found) > 1:
            raise CorruptError(f"{self.what}: {name} stands twice in the front matter", advice="make one of them")
        return self.value(found[0], name, DEEPEST_NESTING) if found else None

    def value(self, node: Any, place: str, levels_left: int) -> object:  # noqa: ANN401
        self.nodes_left -= 1
        if self.nodes_left < 0 or levels_left < 0:
            raise CorruptError(
                f"{self.what}: the front matter stands for more than {MOST_NODES:,} values, "
                f"or is deeper than {DEEPEST_NESTING} levels",
                advice="write less with aliases",
            )
        if node.id == "scalar":
            return None if node.tag == _NULL else node.value
        if node.id == "sequence":
            return [self.value(item, f"{place}[{at}]", levels_left - 1) for at, item in enumerate(node.value)]
        table: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key, value in self._pairs(node, place):
            inner = self.value(value, f"{place}.{key}", levels_left - 1)
            if key == "<<":
                for other in reversed(inner if isinstance(inner, list) else [inner]):
                    merged |= other if isinstance(other, dict) else {}
            elif key in table:
                raise CorruptError(f"{self.what}: {place}.{key} stands twice", advice="make one of them")
            else:
                table[key] = inner
        return merged | table

    def _pairs(self, node: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
        for key, value in node.value:
            if key.id != "scalar":
                raise CorruptError(f"{self.what}: a key in {place} is no text", advice="mend it")
            yield key.value, value
