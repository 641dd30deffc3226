"""Does `retention` say of each version why it is kept before anything is deleted?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

RULES = "delete_after_days = 30\nkeep_newest = 1\nkeep_labels = ['release']\n"


@pytest.fixture
def old(program: Program, registry: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a registry with four versions that are a hundred days old; production names the second."""
    with monkeypatch.context() as patch:
        patch.setattr("bucketry.clock.Clock.timestamp", lambda _: "2020-03-03T12:00:00.000Z")
        for number in range(4):
            (files / "weights.bin").write_bytes(bytes([number]) * 1000)
            program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:2", "production")
    program.ok("edit", "acme/chat:3", "--label", "release=1.0")
    return registry


def write(tmp_path: Path, rules: str = RULES) -> Path:
    path = tmp_path / "retention.toml"
    path.write_text(rules)
    return path


def test_a_dry_run_says_why_and_apply_deletes(program: Program, old: Path, tmp_path: Path) -> None:
    assert old.is_dir()
    program.ok("retention", "set", "acme/chat", write(tmp_path))
    plan = program.json("retention", "apply", "acme/chat", "--dry-run")
    assert plan == {
        "versions": [
            {"model": "acme/chat", "version": 4, "keep": True, "why": "one of the newest 1"},
            {"model": "acme/chat", "version": 3, "keep": True, "why": "has the label release"},
            {"model": "acme/chat", "version": 2, "keep": True, "why": "production names it"},
            {"model": "acme/chat", "version": 1, "keep": False, "why": "older than 30 days, and never served"},
        ],
        "dry_run": True,
        "deleted_bytes": 0,
    }
    told = program.ok("retention", "apply", "--dry-run").text
    assert "acme/chat:3" in told
    assert "kept" in told
    assert told.endswith("1 version would be deleted\n")
    assert "deleted 1 version (1.0 kB; `bucketry gc --apply` frees" in program.ok("retention", "apply").text
    assert [each["version"] for each in program.json("versions", "acme/chat")] == [4, 3, 2]
    assert program.ok("retention", "apply").text == "deleted 0 versions\n"
    program.ok("fsck")


def test_rules_are_shown_with_who_set_them(program: Program, old: Path, tmp_path: Path) -> None:
    assert old.is_dir()
    assert program.ok("retention", "show", "acme/chat").text == "nobody has set retention rules: nothing is deleted\n"
    assert program.json("retention", "set", "--default", write(tmp_path))["changed"] is True
    assert program.json("retention", "set", "--default", write(tmp_path))["changed"] is False
    assert program.json("retention", "show", "acme/chat") == {
        "model": "acme/chat",
        "set_by": "default",
        "delete_after_days": 30,
        "keep_newest": 1,
        "keep_promoted": True,
        "keep_approved": True,
        "keep_labels": ["release"],
    }
    told = program.ok("retention", "show", "--default").text
    assert told.splitlines() == [
        "delete after 30 days",
        "keep the newest 1",
        "keep what was ever promoted",
        "keep what is approved",
        "keep what has the label release",
        "set for the registry",
    ]
    program.ok("retention", "set", "acme/chat", write(tmp_path, "delete_after_days = 0"))
    assert "delete nothing" in program.ok("retention", "show", "acme/chat").text
    assert program.json("retention", "apply")["versions"] == []


def test_what_is_wrong_is_said(program: Program, old: Path, tmp_path: Path) -> None:
    program.fails(2, "retention", "show")
    program.fails(2, "retention", "set", "acme/chat")
    program.fails(3, "retention", "set", "acme/none", write(tmp_path))
    program.fails(3, "retention", "set", "acme/chat", tmp_path / "none.toml")
    assert "delete_after_days" in program.fails(2, "retention", "set", "acme/chat", write(tmp_path, "keep_newest = 1"))
    program.ok("retention", "set", "--default", write(tmp_path))
    head = old / "heads" / "acme" / "chat.json"
    assert json.loads(head.read_bytes())["next_version"] == 5
    for path in (old / ".cas" / "heads" / "acme" / "chat.json").iterdir():
        path.write_bytes(b"{}")
    ran = program.run("retention", "apply")
    assert (ran.code, "acme/chat" in ran.errors) == (8, True)
