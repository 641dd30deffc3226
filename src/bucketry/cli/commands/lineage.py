"""`lineage`: what a version was made from, or what was made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_document
from bucketry.cli.parameters import REFERENCE
from bucketry.registry.review.trust_marks import trust_marks_of
from bucketry.registry.versions.lineage import load_lineage
from bucketry.schema.names import ByVersion, parse_reference
from bucketry.show.lineage import tree_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.cli.call import Call
    from bucketry.registry.review.trust_marks import TrustMark
    from bucketry.registry.versions.lineage import Graph
    from bucketry.schema.names import Reference


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
    marks = trust_marks_of(
        session, [(one.model, one.selector.version) for one in versions if isinstance(one.selector, ByVersion)]
    )
    call.messages.damage(node.damaged for node in graph.nodes.values())
    call.answer(lineage_document(graph, marks), [each.line for each in tree_lines(graph, marks, down=down)])
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
