"""Does whatever changes or removes a version want that version named, on the command line and in Python?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import bucketry
from bucketry.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.harness import Program

REVIEWS = ("request", "comment", "approve", "reject", "revoke")
CHANGES = {
    "promote": ("promote", "REF", "production"),
    "delete": ("delete", "REF", "--yes"),
    "retire": ("retire", "REF"),
    "unretire": ("unretire", "REF"),
    "evaluate": ("evaluate", "REF", "--metric", "auc=0.9"),
    **{action: ("review", action, "REF", "--comment", "because") for action in REVIEWS},
    "approve elsewhere": ("review", "approve", "REF", "--detached"),
}
CALLS: dict[str, Callable[[bucketry.Registry, str], Any]] = {
    "promote": lambda registry, reference: registry.promote(reference, "production"),
    "delete": lambda registry, reference: registry.delete(reference),
    "retire": lambda registry, reference: registry.retire(reference),
    "unretire": lambda registry, reference: registry.unretire(reference),
    "evaluate": lambda registry, reference: registry.evaluate(reference, metrics={"auc": 0.9}),
    "review": lambda registry, reference: registry.review(reference, "reject", comment="because"),
}


@pytest.fixture
def two(program: Program, registry: Path, files: Path) -> Path:
    for _ in range(2):
        program.ok("publish", "acme/chat", files)
    return registry


@pytest.mark.parametrize("command", CHANGES)
def test_a_bare_name_is_refused_with_what_it_would_have_meant(program: Program, two: Path, command: str) -> None:
    assert two.is_dir()
    before = program.json("audit", "acme/chat")["verified_records"]
    told = program.fails(2, *(word.replace("REF", "acme/chat") for word in CHANGES[command]))
    assert "acme/chat means acme/chat:2 now; if that is the one, say so: acme/chat:2, or acme/chat@latest" in told
    assert program.json("audit", "acme/chat")["verified_records"] == before


@pytest.mark.parametrize("call", CALLS)
def test_in_python_it_is_a_usage_error(two: Path, call: str) -> None:
    with bucketry.open(str(two)) as registry:
        with pytest.raises(UsageError, match="names a model, not a version") as told:
            CALLS[call](registry, "acme/chat")
        assert "acme/chat:2" in told.value.advice
        assert [summary.row and summary.row.state for summary in registry.versions("acme/chat")] == ["registered"] * 2


def test_latest_an_alias_and_a_digest_are_explicit(program: Program, two: Path) -> None:
    assert two.is_dir()
    assert program.json("promote", "acme/chat@latest", "production")["to"] == 2
    assert program.json("promote", "acme/chat@production", "staging")["to"] == 2
    manifest = program.json("show", "acme/chat:1")["manifest"]
    assert program.json("retire", f"acme/chat@sha256:{manifest}")["version"] == 1


def test_a_model_that_is_not_there_is_said_first(program: Program, two: Path) -> None:
    assert two.is_dir()
    assert "there is no model acme/none" in program.fails(3, "promote", "acme/none", "production")


def test_reading_by_the_bare_name_stays(program: Program, two: Path) -> None:
    assert two.is_dir()
    assert program.json("resolve", "acme/chat")["version"] == 2
    assert program.json("show", "acme/chat")["version"] == 2
    program.ok("edit", "acme/chat", "--description", "about")
