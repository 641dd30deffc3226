"""Does `gc` say what it would free before it frees anything, and name what it left alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def deleted(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with a live version, and a deleted one with weights of its own."""
    program.ok("publish", "acme/chat", files)
    (files / "weights.bin").write_bytes(b"other weights")
    program.ok("publish", "acme/chat", files)
    program.ok("delete", "acme/chat:2", "--yes")
    return registry


def blob_count(registry: Path) -> int:
    return sum(path.is_file() for path in (registry / "blobs").rglob("*"))


def test_a_plan_comes_first_and_apply_acts(program: Program, deleted: Path) -> None:
    assert "would free nothing; 1 object, 13 B, must wait" in program.ok("gc").text
    told = program.ok("gc", "--grace", "0").text
    assert told.splitlines()[0].split() == ["MODEL", "WHY", "OBJECTS", "SIZE"]
    assert told.splitlines()[1].split() == ["acme/chat", "of", "deleted", "versions", "1", "13", "B"]
    assert "would free 1 object, 13 B" in told
    assert told.endswith("run `bucketry gc --apply` to free it\n")
    assert blob_count(deleted) == 4
    assert "freed 1 object, 13 B" in program.ok("gc", "--grace", "0", "--apply").text
    assert blob_count(deleted) == 3
    assert "would free nothing (1 model, 0 walked)" in program.ok("gc", "--grace", "0").text
    assert "nothing is wrong" in program.ok("fsck", "--deep").text


def test_the_document(program: Program, deleted: Path) -> None:
    assert deleted.is_dir()
    plan = program.json("gc", "--grace", "0")
    assert (plan["applied"], plan["freed_bytes"], plan["models"], plan["walked"]) == (False, 0, 1, 1)
    assert len(plan["plan"]) == 1
    assert plan["plan"][0]["key"].startswith("blobs/acme/chat/1/")
    assert {name: plan["plan"][0][name] for name in ("model", "bytes", "reason")} == {
        "model": "acme/chat",
        "bytes": 13,
        "reason": "deleted-version",
    }
    assert plan["by_reason"] == {"deleted-version": {"objects": 1, "bytes": 13}}
    assert plan["by_model"] == [{"model": "acme/chat", "reason": "deleted-version", "objects": 1, "bytes": 13}]
    assert plan["kept_by_grace"] == {"objects": 0, "bytes": 0}
    done = program.json("gc", "--grace", "0", "--apply")
    assert (done["applied"], done["freed_bytes"], done["left_alone"]) == (True, 13, [])


def test_a_model_that_cannot_be_read_is_named_and_ends_with_8(program: Program, deleted: Path) -> None:
    for path in (deleted / "manifests" / "acme" / "chat").iterdir():
        path.unlink()
    ran = program.run("gc", "--grace", "0", "--apply")
    assert ran.code == 8
    assert "left alone: acme/chat: " in ran.text
    assert "1 model cannot be read and was left alone, first acme/chat: manifests/acme/chat/" in ran.errors
    assert blob_count(deleted) == 4
    listed = program.run("gc", "--json")
    assert (listed.code, listed.document["left_alone"][0]["model"]) == (8, "acme/chat")


def test_a_grace_is_a_number_of_seconds(program: Program, deleted: Path) -> None:
    assert deleted.is_dir()
    for wrong in ("-1", "nan", "soon"):
        program.fails(2, "gc", "--grace", wrong)
    assert program.json("gc", "--grace", "86400")["plan"] == []
    assert "acme/chat" in program.ok("gc", "--grace", "0", "--models", "acme/*").text
    assert program.json("gc", "--grace", "0", "--models", "other/*")["plan"] == []
