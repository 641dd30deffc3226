"""What a version was made from, or what was made from it, as a tree; a version that comes again is named only."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bucketry.frozen import frozen
from bucketry.registry.versions.lineage import DAMAGED
from bucketry.schema.documents.states import State
from bucketry.show.spans import Line, Role, Span
from bucketry.show.states import state_span
from bucketry.show.tables import DAMAGED_SPAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bucketry.registry.review.trust_marks import TrustMark
    from bucketry.registry.versions.lineage import Graph, Node

DEEPEST_SHOWN = 32
_NO_MARKS: Mapping[str, TrustMark] = MappingProxyType({})


@frozen
class TreeLine:
    """A line of a tree, and what stands on it, `depth` below the version that was asked for."""

    line: Line
    node: Node | None
    depth: int


def tree_lines(
    graph: Graph,
    marks: Mapping[str, TrustMark] = _NO_MARKS,
    *,
    down: bool,
    deepest: int = DEEPEST_SHOWN,
    goes_on: str = "goes on",
) -> Iterator[TreeLine]:
    """Yield the graph as a tree from the version that was asked for, at most so deep.

    `marks` are what the profile's trust file says of versions, `goes_on` what is said where the tree does.
    """
    following: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        here, there = (edge.parent, edge.child) if down else (edge.child, edge.parent)
        following.setdefault(here, []).append((edge.relation, there))
    shown: set[str] = set()

    def walk(name: str, relation: str, stem: str, depth: int) -> Iterator[TreeLine]:
        node, nexts = graph.nodes.get(name), following.get(name, [])
        is_again = name in shown and bool(nexts)
        is_deep = depth >= deepest and bool(nexts)
        shown.add(name)
        after = "  see above" if is_again else f"  {goes_on}" if is_deep else ""
        spans = _node_spans(node, name, relation, stem, marks.get(name), is_root=depth == 0)
        yield TreeLine((*spans, Span(after, "dim")), node, depth)
        if is_again or is_deep:
            return
        below = stem.replace("|-", "| ").replace("`-", "  ")
        for index, (next_relation, there) in enumerate(nexts):
            branch = "`- " if index == len(nexts) - 1 else "|- "
            yield from walk(there, next_relation, below + branch, depth + 1)

    yield from walk(graph.root, "", "", 0)


def _node_spans(
    node: Node | None, name: str, relation: str, stem: str, mark: TrustMark | None, *, is_root: bool
) -> Line:
    is_version = node is not None and node.kind == "version"
    role: Role = "strong" if is_root else "accent" if is_version else "plain"
    refusal = f"  {mark.text}" if mark is not None and not mark.is_accepted else ""
    return (
        Span(stem, "dim"),
        Span(f"{relation}: " if relation else "", "dim"),
        Span(node.label if node is not None else name, role),
        Span("  "),
        _state_span(node.state if node is not None else ""),
        Span(refusal, "bad"),
    )


def _state_span(state: str) -> Span:
    if state == DAMAGED:
        return DAMAGED_SPAN
    if state == "missing":
        return Span("not in this registry", "warn")
    try:
        return Span(state, state_span(State(state)).role)
    except ValueError:
        return Span(state, "dim")
