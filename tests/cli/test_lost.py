"""What a registry that lost one of its registers tells on the command line, and that nothing is made in its place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

COMMANDS = (
    ("versions", "acme/chat"),
    ("show", "acme/chat:1"),
    ("resolve", "acme/chat:1"),
    ("audit", "acme/chat"),
    ("promote", "acme/chat:1", "staging"),
    ("retire", "acme/chat:1"),
)


def lose(registry: Path, key: str) -> None:
    (registry / key).unlink()
    shutil.rmtree(registry / ".cas" / key, ignore_errors=True)


@pytest.fixture
def served(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    return registry


def test_a_registry_that_lost_its_document_is_not_made_anew(program: Program, served: Path) -> None:
    lose(served, "registry.json")
    told = program.fails(8, "init", served)
    assert "registry.json is lost" in told
    assert "restore it from the bucket's versions or from a mirror" in told
    assert not (served / "registry.json").exists()
    for command in COMMANDS:
        assert "registry.json is lost" in program.fails(8, *command)
    assert program.run("fsck", "--json").code == 8


def test_a_model_that_lost_its_head_gets_no_second_version_1(program: Program, served: Path, files: Path) -> None:
    lose(served, "heads/acme/chat.json")
    for command in (*COMMANDS, ("publish", "acme/chat", files)):
        ran = program.run(*command)
        assert (ran.code, "heads/acme/chat.json is lost" in ran.errors + ran.text) == (8, True), command
    assert not (served / "heads/acme/chat.json").exists()
    found = program.run("fsck", "--json").document["findings"]
    assert ("damage", "heads/acme/chat.json") in [(finding["grade"], finding["key"]) for finding in found]
    assert not [finding for finding in found if finding["grade"] == "garbage"]


def test_a_model_that_was_never_there_is_just_not_found(program: Program, served: Path) -> None:
    assert "there is no model acme/other" in program.fails(3, "show", "acme/other:1")
    assert served.is_dir()
