from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

POLICY = 'approvals_required = 2\nseparate_duties = true\n[[gate]]\nmetric = "auc"\nat_least = 0.9\n'


@pytest.fixture
def asked(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a registry in which one version waits, and one that nobody asked about."""
    (tmp_path / "policy.toml").write_text(POLICY)
    program.ok("policy", "set", "--default", tmp_path / "policy.toml")
    (tmp_path / "metrics.json").write_text('{"auc": 0.91}')
    program.ok("publish", "acme/chat", files, "--metrics", tmp_path / "metrics.json", "--request-review")
    program.ok("publish", "acme/other", files)
    monkeypatch.setenv("BUCKETRY_IDENTITY", "anna@example.org")
    return registry


def test_what_waits_is_listed_with_its_approvals_and_gates(program: Program, asked: Path) -> None:
    assert asked.exists()
    (item,) = program.json("reviews")
    assert (item["model"], item["version"], item["state"]) == ("acme/chat", 1, "in_review")
    assert (item["asked_by"], item["mine"], item["renewal"]) == ("ada@example.org", True, False)
    assert (item["approvals"], item["required"]) == (0, 2)
    assert [gate["passed"] for gate in item["gates"]] == [True]
    heading, line = program.ok("reviews").text.splitlines()
    assert heading.split() == ["VERSION", "WAITS", "APPROVED", "GATES", "AUTHOR", "WHAT", "ASKED", "BY"]
    assert "0 of 2" in line
    assert "1 ok" in line


def test_mine_leaves_out_what_i_decided_or_may_not_decide(
    program: Program, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked.exists()
    assert len(program.json("reviews", "--mine")) == 1
    program.ok("review", "approve", "acme/chat:1")
    assert program.json("reviews", "--mine") == []
    assert program.ok("reviews", "--mine").text == "nothing waits\n"
    assert program.json("reviews")[0]["approved_by"] == ["anna@example.org"]
    monkeypatch.setenv("BUCKETRY_IDENTITY", "ada@example.org")
    assert program.json("reviews", "--mine") == []


def test_a_gate_that_fails_is_counted(program: Program, asked: Path, tmp_path: Path) -> None:
    assert asked.exists()
    (tmp_path / "worse.json").write_text('{"auc": 0.5}')
    program.ok("evaluate", "acme/chat:1", "--evidence", tmp_path / "worse.json")
    assert "1 of 1 FAILED" in program.ok("reviews").text


def test_an_empty_queue_is_empty_and_a_missing_registry_is_not(program: Program, registry: Path) -> None:
    assert program.json("reviews") == []
    program.fails(3, "reviews", "-r", registry / "nothing")


def test_a_repeated_publish_asks_once(program: Program, registry: Path, files: Path) -> None:
    assert registry.exists()
    for _ in range(2):
        program.ok("publish", "acme/chat", files, "--request-review", "--idempotency-key", "k")
    shown = program.json("show", "acme/chat:1")
    assert [review["action"] for review in shown["reviews"]] == ["request"]


def test_a_model_that_is_damaged_is_noted_and_stops_nothing(program: Program, asked: Path) -> None:
    (asked / "heads" / "acme" / "other.json").write_text("{")
    ran = program.run("reviews")
    assert ran.code == 0
    assert "acme/chat:1" in ran.text
    assert "acme/other" in ran.errors
