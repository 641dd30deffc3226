"""Reads where a version comes from, and what was made from it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE, reason_of
from bucketry.frozen import frozen
from bucketry.registry.core.registers import find_head
from bucketry.registry.core.resolve import load_manifest, resolve
from bucketry.registry.core.rows import find_row, load_dossier
from bucketry.registry.versions.pins import iter_possible_children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.names import Digest, ModelName, Reference

DAMAGED, UNKNOWN = "damaged", "unknown"
"""The state of what cannot be read, and its relation."""
MOST_NODES = 1_000
"""How many versions a graph shows at most; `Graph.cut` says whether there are more."""


@frozen
class Node:
    """One thing in the graph: a version, a dataset, a run, or the code that it was made from.

    `state` is a version's state, `missing` for one that this registry does not have, `damaged` for one of which
    something cannot be read (`damaged` says what, and the walk does not go on there), and empty for anything else.
    """

    id: str
    kind: str
    label: str
    state: str = ""
    manifest: Digest | None = None
    damaged: str = ""


@frozen
class Edge:
    """`child` was made from `parent`: by which relation, or `dataset`, `run`, `experiment`, `code`."""

    parent: str
    child: str
    relation: str


@dataclass(slots=True)
class Graph:
    """The versions around one, each node once. `root` is the node that was asked for."""

    root: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    cut: bool = False


def load_lineage(session: Session, reference: Reference, *, down: bool = False) -> Graph:
    """Return what a version was made from, all the way up; with `down`, what was made from it, all the way down.

    Each version costs its model's head and its manifest; downward also the manifests of those versions of a dependent
    model that have a base.
    """
    resolved = resolve(session, reference)
    session.check_believed()
    walk = _LineageWalk(session, Graph(f"{resolved.model}:{resolved.version}"))
    walk.run(resolved.model, resolved.version, resolved.digest, down=down)
    return walk.graph


class _LineageWalk:
    """A walk over versions, breadth first, with each model's head read once."""

    def __init__(self, session: Session, graph: Graph) -> None:
        self.graph = graph
        self._session = session
        self._heads: dict[ModelName, Head | None] = {}

    def run(self, model: ModelName, version: int, manifest: Digest, *, down: bool) -> None:
        waiting = deque([(model, version, manifest)])
        while waiting:
            found = waiting.popleft()
            if f"{found[0]}:{found[1]}" in self.graph.nodes:
                continue
            if len(self.graph.nodes) >= MOST_NODES:
                self.graph.cut = True
                return
            waiting.extend(self._visit(*found, down=down))

    def _visit(
        self, model: ModelName, version: int, manifest: Digest, *, down: bool
    ) -> Iterator[tuple[ModelName, int, Digest]]:
        """Add a version, and yield those to visit next."""
        name = f"{model}:{version}"
        try:
            head = self._head(model)
            row = find_row(self._session, head, version) if head is not None else None
            if head is None or row is None or row.manifest != manifest:
                self.graph.nodes[name] = Node(name, "version", name, "missing", manifest)
                return
            self.graph.nodes[name] = Node(name, "version", name, row.state.value, manifest)
            made = load_manifest(self._session, model, manifest)
            pins = load_dossier(self._session, head, row).dependents if down else ()
        except UNREADABLE as error:
            self.graph.nodes[name] = Node(name, "version", name, DAMAGED, manifest, reason_of(error))
            return
        if not down:
            self._add_sources(name, made)
            for parent in made.lineage.parents:
                self.graph.edges[Edge(f"{parent.model}:{parent.version}", name, parent.relation)] = None
                yield parent.model, parent.version, parent.manifest
            return
        for pin in pins:
            yield from self._children(name, pin.model, row)

    def _children(self, name: str, model: ModelName, parent: Row) -> Iterator[tuple[ModelName, int, Digest]]:
        """Yield the versions of a model that were made from one; those of which nobody can say are nodes at once."""
        try:
            head = self._head(model)
        except UNREADABLE as error:
            self._add_damaged(name, str(model), reason_of(error))
            return
        for found in iter_possible_children(self._session, head, parent.manifest) if head else ():
            child = f"{model}:{found.version}"
            if found.row is None or found.damaged:
                self._add_damaged(name, child, found.damaged, found.row)
                continue
            self.graph.edges[Edge(name, child, found.relation)] = None
            yield model, found.version, found.row.manifest

    def _add_damaged(self, name: str, child: str, reason: str, row: Row | None = None) -> None:
        """Add what may have been made from a version: nobody can say before it is mended."""
        if row is None or row.base in {None, name}:
            node = Node(child, "version", child, DAMAGED, row.manifest if row is not None else None, reason)
            self.graph.nodes.setdefault(child, node)
            self.graph.edges[Edge(name, child, UNKNOWN)] = None

    def _add_sources(self, name: str, made: Manifest) -> None:
        for dataset in made.training.datasets:
            called = " ".join(str(dataset[part]) for part in ("name", "version") if dataset.get(part))
            self._add_source(name, "dataset", called or str(dataset.get("uri") or dataset.get("digest") or ""))
        lineage = made.lineage
        self._add_source(name, "experiment", lineage.experiment or "")
        self._add_source(name, "run", lineage.run or "")
        self._add_source(name, "pipeline", str(lineage.pipeline.get("name", "")))
        code = lineage.code
        commit = str(code.get("commit") or "")[:12]
        unknown = " (perhaps with changes)" if "dirty" in code and code["dirty"] is None else ""
        dirty = " (with changes)" if code.get("dirty") else unknown
        self._add_source(name, "code", f"{code.get('repository') or ''} {commit}{dirty}".strip() if commit else "")

    def _add_source(self, name: str, kind: str, label: str) -> None:
        if label:
            node = Node(f"{kind} {label}", kind, label)
            self.graph.nodes.setdefault(node.id, node)
            self.graph.edges[Edge(node.id, name, kind)] = None

    def _head(self, model: ModelName) -> Head | None:
        if model not in self._heads:
            self._heads[model] = find_head(self._session, model)
        return self._heads[model]
