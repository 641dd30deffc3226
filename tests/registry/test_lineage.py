from __future__ import annotations

from dataclasses import replace

import pytest

from bucketry.errors import NotFoundError
from bucketry.registry.core.resolve import resolve
from bucketry.registry.publishing import registration
from bucketry.registry.publishing.registration import PreparedVersion, register_version
from bucketry.registry.versions import lineage
from bucketry.registry.versions.deletion import delete_version
from bucketry.registry.versions.lineage import Edge, Graph, load_lineage
from bucketry.schema.documents.manifest import Lineage, Parent, Training
from bucketry.schema.names import Digest, ModelName, parse_reference
from registry.people import CHAT, Office, open_office
from simulation.actors import BASE, CONTENTS, Uploader, make_manifest
from simulation.scenes import base_parent

CHILD, GRANDCHILD = ModelName("acme", "child"), ModelName("acme", "grandchild")


@pytest.fixture
def office() -> Office:
    return open_office()


def graph(office: Office, reference: str, *, down: bool = False) -> Graph:
    return load_lineage(office.session(), parse_reference(reference), down=down)


def parent_of(office: Office, model: ModelName, version: int, relation: str = "finetune") -> Parent:
    manifest = resolve(office.session(), parse_reference(f"{model}:{version}")).digest
    return Parent(model, version, manifest, relation)


def family(office: Office) -> None:
    """Publish two children of base:1, and a grandchild of both."""
    for relation in ("adapter", "quantized"):
        office.publish(CHILD, notes=relation, parent=replace(base_parent(1), relation=relation))
    session = office.session()
    parents = (parent_of(office, CHILD, 1, "merge"), parent_of(office, CHILD, 2, "merge"))
    manifest = make_manifest(GRANDCHILD, [CONTENTS[2]], notes="merged", parents=parents)
    register_version(session, PreparedVersion(manifest), Uploader(session, GRANDCHILD))


def test_a_version_from_nothing_stands_alone(office: Office) -> None:
    alone = graph(office, "acme/chat:1")
    assert (list(alone.nodes), list(alone.edges), alone.cut) == (["acme/chat:1"], [], False)


def test_parents_are_followed_all_the_way_up_each_once(office: Office) -> None:
    family(office)
    found = graph(office, "acme/grandchild:1")
    assert list(found.nodes) == ["acme/grandchild:1", "acme/child:1", "acme/child:2", "acme/base:1"]
    assert set(found.edges) == {
        Edge("acme/child:1", "acme/grandchild:1", "merge"),
        Edge("acme/child:2", "acme/grandchild:1", "merge"),
        Edge("acme/base:1", "acme/child:1", "adapter"),
        Edge("acme/base:1", "acme/child:2", "quantized"),
    }
    assert found.nodes["acme/base:1"].state == "registered"


def test_a_version_that_is_reached_twice_is_visited_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a chain of merges would take as long as there are ways through it."""
    family(office)
    visited: list[object] = []
    visit = lineage._LineageWalk._visit  # noqa: SLF001 - nothing else shows how often

    def note(walk: lineage._LineageWalk, model: ModelName, *rest: object, **more: bool) -> object:
        visited.append((model, rest[0]))
        return visit(walk, model, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(lineage._LineageWalk, "_visit", note)  # noqa: SLF001
    graph(office, "acme/grandchild:1")
    assert len(visited) == len(set(visited)) == 4


def test_children_are_followed_all_the_way_down(office: Office) -> None:
    family(office)
    up, down = graph(office, "acme/grandchild:1"), graph(office, "acme/base:1", down=True)
    assert down.root == "acme/base:1"
    assert set(down.nodes) == set(up.nodes)
    assert set(down.edges) == set(up.edges)
    assert set(graph(office, "acme/base:2", down=True).nodes) == {"acme/base:2"}


def test_a_base_in_the_same_model_is_found_in_both_directions(office: Office) -> None:
    child = office.publish(parent=parent_of(office, CHAT, 1, "distilled"))
    edge = Edge("acme/chat:1", f"acme/chat:{child}", "distilled")
    assert list(graph(office, f"acme/chat:{child}").edges) == [edge]
    assert list(graph(office, "acme/chat:1", down=True).edges) == [edge]


def test_a_child_that_was_given_up_is_no_child_but_keeps_its_parents(office: Office) -> None:
    family(office)
    delete_version(office.session(), GRANDCHILD, 1)
    delete_version(office.session(), CHILD, 2)
    assert set(graph(office, "acme/base:1", down=True).nodes) == {"acme/base:1", "acme/child:1"}
    with pytest.raises(NotFoundError):
        graph(office, "acme/grandchild:1")


def test_a_parent_whose_number_is_another_version_here_is_shown_as_missing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a manifest comes from another registry, by hand: a publish refuses it."""
    stranger = Parent(BASE, 1, Digest("ab" * 32), "finetune")
    monkeypatch.setattr(registration._RegistrationEdit, "_pin_parents", lambda _, head: (head, ()))  # noqa: SLF001
    version = office.publish(CHILD, parent=stranger)
    found = graph(office, f"acme/child:{version}")
    assert (found.nodes["acme/base:1"].state, found.nodes["acme/base:1"].manifest) == ("missing", stranger.manifest)


def test_data_runs_and_code_are_shown_with_the_version_that_they_made(office: Office) -> None:
    session = office.session()
    made = make_manifest(CHAT, [CONTENTS[3]], notes="with everything")
    made = replace(
        made,
        training=Training(datasets=({"name": "web", "version": "3"}, {"uri": "s3://data/x"}, {"rows": 5})),
        lineage=Lineage(
            experiment="e1",
            run="r1",
            pipeline={"name": "nightly"},
            code={"repository": "git@example.org:x", "commit": "c" * 40, "dirty": True},
        ),
    )
    version = register_version(session, PreparedVersion(made), Uploader(session, CHAT)).version
    found = graph(office, f"acme/chat:{version}")
    assert {(node.kind, node.label) for node in found.nodes.values()} == {
        ("version", f"acme/chat:{version}"),
        ("dataset", "web 3"),
        ("dataset", "s3://data/x"),
        ("experiment", "e1"),
        ("run", "r1"),
        ("pipeline", "nightly"),
        ("code", "git@example.org:x cccccccccccc (with changes)"),
    }
    assert {edge.relation for edge in found.edges} == {"dataset", "experiment", "run", "pipeline", "code"}
    assert list(graph(office, f"acme/chat:{version}", down=True).nodes) == [f"acme/chat:{version}"]


def test_a_graph_that_is_too_large_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    family(office)
    monkeypatch.setattr(lineage, "MOST_NODES", 2)
    found = graph(office, "acme/grandchild:1")
    assert (len(found.nodes), found.cut) == (2, True)


def test_an_alias_names_the_root(office: Office) -> None:
    assert graph(office, "acme/chat@production").root == "acme/chat:2"
    with pytest.raises(NotFoundError):
        graph(office, "acme/chat@nothing")
