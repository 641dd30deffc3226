"""Does `usage` say what costs what, in one document and in lines?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with two versions that share all but the weights, and a third that was deleted."""
    for weights in (b"1" * 1000, b"2" * 2000, b"3" * 3000):
        (files / "weights.bin").write_bytes(weights)
        program.ok("publish", "acme/chat", files)
    program.ok("delete", "acme/chat:3", "--yes")
    return registry


SHARED = len("# A model\n") + len("hello\n")


def test_models_with_what_they_take(program: Program, published: Path) -> None:
    assert published.is_dir()
    document = program.json("usage")
    assert document["models"] == [
        {
            "model": "acme/chat",
            "live_bytes": 3000 + SHARED,
            "shared_bytes": SHARED,
            "reclaimable_bytes": 3000,
            "duplicate_bytes": 0,
            "versions": 2,
        }
    ]
    assert document["total_bytes"] == 6000 + SHARED
    told = program.ok("usage").text.splitlines()
    assert told[0].split() == ["MODEL", "VERSIONS", "LIVE", "SHARED", "RECLAIMABLE", "DUPLICATE"]
    assert told[1].split() == ["acme/chat", "2", "3.0", "kB", "16", "B", "3.0", "kB", "0", "B"]
    assert told[2] == "1 model with files, 6.0 kB"


def test_versions_with_what_deleting_them_would_free(program: Program, published: Path) -> None:
    assert published.is_dir()
    document = program.json("usage", "acme/chat")
    assert [tuple(each.values()) for each in document["versions"]] == [
        (2016, 0, 2000, SHARED, "registered", 2),
        (1016, 0, 1000, SHARED, "registered", 1),
    ]
    assert list(document["versions"][0]) == [
        "bytes",
        "duplicate_bytes",
        "own_bytes",
        "shared_bytes",
        "state",
        "version",
    ]
    assert "2.0 kB" in program.ok("usage", "acme/chat").text
    program.fails(3, "usage", "acme/none")


def test_a_damaged_model_is_a_row(program: Program, published: Path) -> None:
    for path in (published / "manifests" / "acme" / "chat").iterdir():
        path.unlink()
    model = program.json("usage")["models"][0]
    assert (model["model"], model["live_bytes"]) == ("acme/chat", None)
    assert "is missing" in model["damaged"]
    assert "DAMAGED: " in program.ok("usage").text
    program.fails(8, "usage", "acme/chat")
