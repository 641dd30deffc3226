from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.harness import run_alone

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    for _ in range(2):
        program.ok("publish", "acme/chat", files)
    return registry


def test_a_version_is_given_up(program: Program, published: Path) -> None:
    assert published.exists()
    document = program.json("delete", "acme/chat:1", "--yes", "--reason", "a mistake")
    assert document["state"] == "deleted"
    assert document["size_bytes"] > 0
    assert "was deleted" in program.fails(3, "show", "acme/chat:1")
    assert [version["version"] for version in program.json("versions", "acme/chat")] == [2]
    assert "a mistake" in program.ok("audit", "acme/chat").text
    program.fails(3, "delete", "acme/chat:1", "--yes")


def test_nothing_is_deleted_before_somebody_said_yes(program: Program, published: Path) -> None:
    assert published.exists()
    assert "acme/chat:1 was not deleted" in program.fails(2, "delete", "acme/chat:1")
    assert run_alone("delete", "acme/chat:1").code == 2
    program.ok("show", "acme/chat:1")


def test_a_version_that_an_alias_names_is_kept(program: Program, published: Path) -> None:
    assert published.exists()
    program.ok("promote", "acme/chat:1", "production")
    told = program.fails(4, "delete", "acme/chat:1", "--yes")
    assert "acme/chat@production names version 1" in told
    program.ok("promote", "acme/chat:2", "production")
    program.ok("delete", "acme/chat:1", "--yes")
    program.ok("fsck", "--deep")


def test_a_base_is_kept_while_an_adapter_is_made_from_it(program: Program, published: Path, files: Path) -> None:
    assert published.exists()
    program.ok("publish", "acme/tuned", files, "--base", "acme/chat:1", "--relation", "adapter")
    assert "acme/chat:1 is the base of versions of acme/tuned" in program.fails(4, "delete", "acme/chat:1", "--yes")
    program.ok("delete", "acme/tuned:1", "--yes")
    program.ok("delete", "acme/chat:1", "--yes")
