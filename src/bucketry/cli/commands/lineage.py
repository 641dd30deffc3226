"""`lineage`: where does a version come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_document
from bucketry.cli.parameters import REFERENCE
from bucketry.cli.searching import note_damage
from bucketry.registry.review.trust_marks import load_trust_marks
from bucketry.registry.versions.lineage import load_lineage
from bucketry.schema.names import ByVersion, parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bucketry.cli.call import Call
    from bucketry.registry.review.trust_marks import TrustMark
    from bucketry.registry.versions.lineage import Graph
    from bucketry.schema.names import Reference

DEEPEST_SHOWN = 32


@command("lineage", example="bucketry lineage acme/chat@production --down")
@click.argument("reference", metavar="REF", type=REFERENCE)
@click.option("--down", is_flag=True, help="What was made from it, rather than what it was made from.")
def run(call: Call, reference: Reference, *, down: bool) -> None:
    """Show what a version was made from, or what was made from it.

    Upward that is its parents, datasets, run and code, all the way; downward the versions made from it.
    """
    session = call.open()
    graph = load_lineage(session, reference, down=down)
    versions = [parse_reference(node.id) for node in graph.nodes.values() if node.kind == "version"]
    marks = load_trust_marks(
        session, [(one.model, one.selector.version) for one in versions if isinstance(one.selector, ByVersion)]
    )
    note_damage(call, (node.damaged for node in graph.nodes.values()))
    call.answer(lineage_document(graph, marks), list(tree_lines(graph, marks, down=down)))
    if graph.cut:
        call.messages.note(f"there are more than {len(graph.nodes):,}; the rest is left out")


def lineage_document(graph: Graph, marks: Mapping[str, TrustMark]) -> dict[str, object]:
    """Return the graph: each node once, each edge from parent to child.

    `trust` is what the profile's trust file says of a version, null where there is none.
    """
    return {
        "root": graph.root,
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind,
                "label": node.label,
                "state": node.state,
                "manifest": node.manifest,
                "trust": marks[node.id].to_document() if node.id in marks else None,
            }
            | damaged_document(node.damaged)
            for node in graph.nodes.values()
        ],
        "edges": [{"from": edge.parent, "to": edge.child, "relation": edge.relation} for edge in graph.edges],
        "cut": graph.cut,
    }


def tree_lines(graph: Graph, marks: Mapping[str, TrustMark], *, down: bool) -> Iterator[str]:
    """Yield the graph as a tree from the version that was asked for; a node that comes again is named only."""
    following: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        here, there = (edge.parent, edge.child) if down else (edge.child, edge.parent)
        following.setdefault(here, []).append((edge.relation, there))
    shown: set[str] = set()

    def walk(name: str, relation: str, stem: str, branch: str, below: str, depth: int) -> Iterator[str]:
        node = graph.nodes.get(name)
        kind = f"{relation}: " if relation else ""
        state = f"  {node.state}" if node is not None and node.state else ""
        mark = marks.get(name)
        state += f"  {mark.text}" if mark is not None and not mark.is_accepted else ""
        again = name in shown and bool(following.get(name))
        yield f"{stem}{branch}{kind}{node.label if node is not None else name}{state}{'  (see above)' if again else ''}"
        if again or depth >= DEEPEST_SHOWN:
            return
        shown.add(name)
        nexts = following.get(name, [])
        for index, (next_relation, there) in enumerate(nexts):
            last = index == len(nexts) - 1
            yield from walk(
                there, next_relation, stem + below, "`- " if last else "|- ", "   " if last else "|  ", depth + 1
            )

    yield from walk(graph.root, "", "", "", "", 0)
