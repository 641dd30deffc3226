"""Who moved an alias when, whatever touched it since, and how is a move taken back?"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import bucketry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def four(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with four versions, of which ada promoted each in turn."""
    for _ in range(4):
        program.ok("publish", "acme/chat", files)
    for version in range(1, 5):
        program.ok("promote", f"acme/chat:{version}", "production")
    return registry


@contextmanager
def acting_as(identity: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BUCKETRY_IDENTITY", identity)
        yield


def newest_move(program: Program) -> Any:
    return program.json("aliases", "acme/chat", "--history", "production")[0]


def test_undoing_a_rollback_restores_what_the_next_one_goes_back_to(program: Program, four: Path) -> None:
    assert four.is_dir()
    assert program.json("rollback", "acme/chat", "production")["to"] == 3
    undone = program.json("undo", "acme/chat", "production", "--reason", "a slip")
    assert (undone["from"], undone["to"]) == (3, 4)
    assert program.json("rollback", "acme/chat", "production")["to"] == 3
    event = program.json("aliases", "acme/chat", "--history", "production")[1]
    assert (event["action"], event["undoes"], event["reason"]) == ("undo", 5, "a slip")


def test_an_undo_takes_back_no_later_move_than_it_names(program: Program, four: Path) -> None:
    moved = program.json("rollback", "acme/chat", "production")
    with acting_as("bob@example.org"):
        program.ok("promote", "acme/chat:1", "production")
    told = program.fails(5, "undo", "acme/chat", "production", "--generation", str(moved["generation"]))
    assert "moved since: promote by bob@example.org" in told
    with bucketry.open(str(four)) as registry:
        assert registry.undo("acme/chat", "production").target == 3
        assert registry.undo("acme/chat", "production", generation=moved["generation"]).target == 4


def test_since_and_by_are_of_the_last_move_everywhere(program: Program, four: Path, files: Path) -> None:
    moved = newest_move(program)
    time.sleep(0.01)
    with acting_as("bob@example.org"):
        program.ok("review", "reject", "acme/chat:2", "--comment", "biased")
        program.ok("publish", "acme/chat", files)
        program.ok("delete", "acme/chat:5", "--yes")
    expected = (moved["at"], "ada@example.org")
    [alias] = program.json("aliases", "acme/chat")
    assert (alias["since"], alias["by"], alias["generation"]) == (*expected, 6)
    [[of_models]] = [model["aliases"] for model in program.json("models")]
    [of_versions] = program.json("versions", "acme/chat")[0]["aliases"]
    [of_version] = program.json("show", "acme/chat:4")["aliases"]
    assert [(one["since"], one["by"]) for one in (of_models, of_versions, of_version)] == [expected] * 3
    listed = program.ok("aliases", "acme/chat").text
    assert "ada@example.org" in listed
    assert "bob@example.org" not in listed
    with bucketry.open(str(four)) as registry:
        watched = next(iter(registry.watch("acme/chat@production", interval_seconds=1)))
        assert (watched.since, watched.by) == expected
        program.ok("pull", "acme/chat@production", four.parent / "here")
        registry.report("acme/chat@production", environment="test", path=four.parent / "here")
    [reported] = program.json("deployments")
    assert (reported["alias_since"], reported["alias_by"]) == expected


def test_internal_records_are_listed_only_when_asked_for_and_marked(program: Program, four: Path) -> None:
    assert four.is_dir()
    with acting_as("bob@example.org"):
        program.ok("review", "reject", "acme/chat:2", "--comment", "biased")
    shown = program.ok("audit", "acme/chat")
    assert "reject" in shown.text
    assert "recheck-promotions" not in shown.text
    assert "create-alias" not in shown.text
    assert "2 internal records left out: --all lists them" in shown.errors
    everything = program.ok("audit", "acme/chat", "--all")
    assert "(recheck-promotions)" in everything.text
    assert "for reject" in everything.text
    assert everything.errors == ""
    assert "(recheck-promotions)" in program.ok("audit", "acme/chat", "--action", "recheck-promotions").text
    internal = [record["action"] for record in program.json("audit", "acme/chat")["records"] if record["internal"]]
    assert sorted(internal) == ["create-alias", "recheck-promotions"]
