"""Where a version comes from, and what was made from it: two trees; enter on a version opens it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.index.views import find_version_line
from bucketry.registry.versions.lineage import load_lineage
from bucketry.schema.names import ByVersion, parse_reference
from bucketry.show.figures import count_of
from bucketry.show.lineage import tree_lines
from bucketry.show.spans import Line, Span, line
from bucketry.tui.screens.version.tab import TabContent, TabRequest
from bucketry.tui.shell.places import VersionPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bucketry.registry.versions.lineage import Graph
    from bucketry.tui.shell.view import Shell

DEEPEST_SHOWN, LEAST_DEPTH = 24, 4
LABEL_COLUMNS, STEP_COLUMNS = 60, 3
"""A tree goes as deep as leaves its labels so much room; enter on its last version goes on from there."""

_Shown = tuple[Line, "Callable[[Shell], None] | None"]


def load_lineage_tab(request: TabRequest) -> TabContent:
    """Return what the version was made from, then what was made from it."""
    up = load_lineage(request.session, request.reference)
    down = load_lineage(request.session, request.reference, down=True)
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
    for shown in tree_lines(graph, down=down, deepest=deepest, goes_on="enter goes on"):
        this = () if shown.depth else (Span("  (this one)", "dim"),)
        node, opens = shown.node, None
        if node is not None and node.kind == "version" and shown.depth:
            opens = partial(_open_version, name=node.id)
        yield (Span("  "), *shown.line, *this), opens


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
