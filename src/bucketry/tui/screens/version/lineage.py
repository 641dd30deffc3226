"""Where does a version come from, and what was made from it? Two trees; enter on a version opens it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.index.views import find_version_line
from bucketry.registry.versions.lineage import DAMAGED, load_lineage
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByVersion, Reference, parse_reference
from bucketry.tui.drawing.figures import count_of
from bucketry.tui.drawing.marks import DAMAGED_SPAN, state_span
from bucketry.tui.drawing.paint import Line, Role, Span, line
from bucketry.tui.screens.version.tab import TabContent, TabRequest
from bucketry.tui.shell.places import VersionPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.versions.lineage import Graph, Node
    from bucketry.tui.shell.view import Shell

DEEPEST_SHOWN, LEAST_DEPTH = 24, 4
LABEL_COLUMNS, STEP_COLUMNS = 60, 3
"""A tree goes as deep as leaves its labels so much room; enter on its last version goes on from there."""

_Shown = tuple[Line, "Callable[[Shell], None] | None"]


def load_lineage_tab(request: TabRequest) -> TabContent:
    """Return what the version was made from, then what was made from it."""
    reference = Reference(request.row.model, ByVersion(request.row.version))
    up = load_lineage(request.session, reference)
    down = load_lineage(request.session, reference, down=True)
    publish = f"bucketry publish {request.row.model} FILES --base MODEL:VERSION"
    nothing_up = (
        "It names no other version, dataset, run or code that it was made from.",
        "Say so when you publish:",
        f"  {publish}",
    )
    nothing_down = ("No version of this registry says that it was made from this one.",)
    shown = [
        *_section("MADE FROM", up, nothing_up, request.width, down=False),
        (line(), None),
        *_section("MADE INTO", down, nothing_down, request.width, down=True),
    ]
    links = {place: opens for place, (_, opens) in enumerate(shown) if opens is not None}
    return TabContent(tuple(said for said, _ in shown), links)


def _section(title: str, graph: Graph, nothing: tuple[str, ...], width: int, *, down: bool) -> Iterator[_Shown]:
    versions = sum(node.kind == "version" for node in graph.nodes.values()) - 1
    count = f"  {count_of(versions, 'version')}{'; there are more' if graph.cut else ''}" if versions > 0 else ""
    yield line(Span(title, "strong"), Span(count, "dim")), None
    if not graph.edges:
        for said in nothing:
            yield line("  ", Span(said, "dim")), None
        return
    deepest = max(LEAST_DEPTH, min(DEEPEST_SHOWN, (width - LABEL_COLUMNS) // STEP_COLUMNS))
    yield from _Tree(graph, deepest, down=down).lines(graph.root)


class _Tree:
    """One walk over a graph: a version that comes again is named only."""

    def __init__(self, graph: Graph, deepest: int, *, down: bool) -> None:
        self._graph = graph
        self._deepest = deepest
        self._seen: set[str] = set()
        self._next: dict[str, list[tuple[str, str]]] = {}
        for edge in graph.edges:
            here, there = (edge.parent, edge.child) if down else (edge.child, edge.parent)
            self._next.setdefault(here, []).append((edge.relation, there))

    def lines(self, name: str, relation: str = "", stem: str = "", depth: int = 0) -> Iterator[_Shown]:
        """Yield a node and what is below it."""
        node = self._graph.nodes.get(name)
        nexts = self._next.get(name, [])
        is_again = name in self._seen and bool(nexts)
        is_deep = depth >= self._deepest and bool(nexts)
        self._seen.add(name)
        yield _node_line(node, name, relation, stem, depth, is_again=is_again, is_deep=is_deep), _link(node, depth)
        if is_again or is_deep:
            return
        below = stem.replace("|-", "| ").replace("`-", "  ")
        for index, (next_relation, there) in enumerate(nexts):
            branch = "`- " if index == len(nexts) - 1 else "|- "
            yield from self.lines(there, next_relation, below + branch, depth + 1)


def _node_line(
    node: Node | None, name: str, relation: str, stem: str, depth: int, *, is_again: bool, is_deep: bool
) -> Line:
    is_version = node is not None and node.kind == "version"
    role: Role = "strong" if depth == 0 else "accent" if is_version else "plain"
    after = "  see above" if is_again else "  enter goes on" if is_deep else ""
    return (
        Span("  "),
        Span(stem, "dim"),
        Span(f"{relation}: " if relation else "", "dim"),
        Span(node.label if node is not None else name, role),
        Span("  "),
        _state(node.state if node is not None else ""),
        Span("  (this one)" if depth == 0 else after, "dim"),
    )


def _state(state: str) -> Span:
    if state == DAMAGED:
        return DAMAGED_SPAN
    if state == "missing":
        return Span("not in this registry", "warn")
    try:
        return Span(state, state_span(State(state)).role)
    except ValueError:
        return Span(state, "dim")


def _link(node: Node | None, depth: int) -> Callable[[Shell], None] | None:
    return partial(_open_version, name=node.id) if node is not None and node.kind == "version" and depth else None


def _open_version(shell: Shell, *, name: str) -> None:
    try:
        reference = parse_reference(name)
    except BucketryError as error:
        shell.fail(error)
        return
    selector = reference.selector
    row = None
    if isinstance(selector, ByVersion):
        row = find_version_line(shell.source.index, reference.model, selector.version)
    if row is None:
        shell.flash(f"{name} is not in this registry, or not in the local index yet (r looks again)", "warn")
        return
    shell.go(VersionPlace(row, same_tab=True))  # who follows a lineage stays in this tab
