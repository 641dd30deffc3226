from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def family(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # no code to capture
    program.ok("publish", "acme/base", files, "--dataset", "name=web,version=3", "--run", "r-17")
    for relation in ("adapter", "quantized"):
        program.ok("publish", "acme/tuned", files, "--base", "acme/base:1", "--relation", relation, "--notes", relation)
    return registry


def test_a_version_is_shown_with_what_it_was_made_from(program: Program, family: Path) -> None:
    assert family.exists()
    assert program.ok("lineage", "acme/tuned:2").text.splitlines() == [
        "acme/tuned:2  registered",
        "`- quantized: acme/base:1  registered",
        "   |- dataset: web 3",
        "   `- run: r-17",
    ]


def test_a_base_is_shown_with_what_was_made_from_it(program: Program, family: Path) -> None:
    assert family.exists()
    assert program.ok("lineage", "acme/base", "--down").text.splitlines() == [
        "acme/base:1  registered",
        "|- quantized: acme/tuned:2  registered",
        "`- adapter: acme/tuned:1  registered",
    ]


def test_the_document_has_each_node_once_and_edges_from_parent_to_child(program: Program, family: Path) -> None:
    assert family.exists()
    document = program.json("lineage", "acme/tuned:1")
    assert (document["root"], document["cut"]) == ("acme/tuned:1", False)
    assert {node["id"]: node["kind"] for node in document["nodes"]} == {
        "acme/tuned:1": "version",
        "acme/base:1": "version",
        "dataset web 3": "dataset",
        "run r-17": "run",
    }
    assert {"from": "acme/base:1", "to": "acme/tuned:1", "relation": "adapter"} in document["edges"]
    assert program.json("lineage", "acme/base:1", "--down")["edges"][0]["from"] == "acme/base:1"


def test_a_version_that_comes_again_is_named_only(program: Program, family: Path, files: Path) -> None:
    assert family.exists()
    program.ok("publish", "acme/third", files, "--base", "acme/tuned:1", "--relation", "merge")
    program.ok("publish", "acme/base", files, "--base", "acme/third:1", "--relation", "distilled", "--notes", "2")
    lines = program.ok("lineage", "acme/base:2").text.splitlines()
    assert lines[0] == "acme/base:2  registered"
    assert sum("acme/base:1" in line for line in lines) == 1
    assert program.ok("lineage", "acme/base:1", "--down").text.count("acme/base:2") == 1


def test_a_reference_that_names_nothing_is_not_found(program: Program, family: Path) -> None:
    assert family.exists()
    program.fails(3, "lineage", "acme/base:9")
    program.fails(3, "lineage", "acme/base@production")
    program.fails(3, "lineage", "acme/nothing")
