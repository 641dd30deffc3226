from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

POLICY = """
approvals_required = 2
headline_metrics = ["f1", "auc"]

[[gate]]
metric = "auc"
at_least = 0.9

[[gate]]
card_sections = ["Limitations"]
aliases = ["production"]
"""


@pytest.fixture
def published(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:  # noqa: ARG001
    """Return a policy file; a version is there."""
    (tmp_path / "metrics.json").write_text('{"auc": 0.91, "loss": 1, "f1": 0.5}')
    program.ok("publish", "acme/chat", files, "--metrics", tmp_path / "metrics.json")
    (tmp_path / "policy.toml").write_text(POLICY)
    return tmp_path / "policy.toml"


def test_a_policy_is_set_and_shown(program: Program, published: Path) -> None:
    done = program.ok("policy", "set", "acme/chat", published)
    assert "approvals_required set to 2" in done.text
    assert "gate added: card has Limitations (before production)" in done.text
    shown = program.json("policy", "show", "acme/chat")
    assert shown["approvals_required"] == 2
    assert shown["gates"] == [
        {"metric": "auc", "at_least": 0.9},
        {"card_sections": ["Limitations"], "aliases": ["production"]},
    ]
    assert shown["set_by"]["gates"] == "model"
    assert shown["set_by"]["reviewers"] is None
    assert "auc >= 0.9" in program.ok("policy", "show", "acme/chat").text


def test_no_reviewers_are_shown_as_everybody(program: Program, published: Path) -> None:
    published.write_text("reviewers = []\nprotected_aliases = []\n")
    done = program.ok("policy", "set", "acme/chat", published).text.splitlines()
    assert {"  reviewers set to everybody", "  protected_aliases set to none"} <= set(done)
    rows = [line.split() for line in program.ok("policy", "show", "acme/chat").text.splitlines()]
    assert ["reviewers", "everybody", "model"] in rows
    assert program.json("policy", "show", "acme/chat")["reviewers"] == []


def test_setting_a_policy_again_says_that_nothing_changed(program: Program, published: Path) -> None:
    first = program.json("policy", "set", "acme/chat", published)
    again = program.json("policy", "set", "acme/chat", published)
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["generation"] == first["generation"]
    assert "says this already" in program.ok("policy", "set", "acme/chat", published).text


def test_the_default_is_set_from_stdin_and_a_model_overrides_it(
    program: Program, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"separate_duties = true\napprovals_required = 1")))
    assert program.json("policy", "set", "--default", "-")["model"] is None
    program.ok("policy", "set", "acme/chat", published)
    shown = program.json("policy", "show", "acme/chat")
    assert (shown["separate_duties"], shown["approvals_required"]) == (True, 2)
    assert (shown["set_by"]["separate_duties"], shown["set_by"]["approvals_required"]) == ("default", "model")
    assert program.json("policy", "show", "--default")["approvals_required"] == 1


def test_a_policy_has_a_history(program: Program, published: Path) -> None:
    assert "nobody has set a policy" in program.ok("policy", "show", "acme/chat", "--history").text
    program.ok("policy", "set", "acme/chat", published)
    published.write_text(POLICY.replace("= 2", "= 3"))
    program.ok("policy", "set", "acme/chat", published)
    events = program.json("policy", "show", "acme/chat", "--history")
    assert [len(event["changes"]) for event in events] == [1, 4]
    assert events[0]["changes"] == [{"key": "approvals_required", "before": "2", "after": "3"}]
    assert events[0]["actor"] == "ada@example.org"
    assert "approvals_required changed from 2 to 3" in program.ok("policy", "show", "acme/chat", "--history").text
    assert program.json("policy", "show", "--default", "--history") == []


def test_gates_end_with_4_when_one_fails_and_print_their_document(program: Program, published: Path) -> None:
    program.ok("policy", "set", "acme/chat", published)
    ran = program.run("gates", "acme/chat:1", "--json")
    assert (ran.code, ran.stderr) == (4, b"")
    assert ran.document["passed"] is False
    assert "error" not in ran.document
    assert ran.document["gates"] == [
        {"gate": "auc >= 0.9", "passed": True, "value": 0.91, "limit": 0.9, "reason": "0.91"},
        {
            "gate": "card has Limitations (before production)",
            "passed": False,
            "value": 0,
            "limit": 1,
            "reason": "Limitations is missing",
        },
    ]
    told = program.run("gates", "acme/chat:1")
    assert told.code == 4
    assert told.errors.startswith("error[rejected]: 1 of 2 gates of acme/chat:1 failed")
    assert "Limitations is missing" in told.text


def test_gates_before_another_alias_are_left_out(program: Program, published: Path) -> None:
    program.ok("policy", "set", "acme/chat", published)
    assert program.json("gates", "acme/chat", "--alias", "staging")["passed"] is True
    assert program.run("gates", "acme/chat", "--alias", "production").code == 4


def test_without_gates_all_hold(program: Program, published: Path) -> None:  # noqa: ARG001
    document = program.json("gates", "acme/chat")
    assert (document["passed"], document["gates"]) == (True, [])
    assert "no gate stands before acme/chat:1" in program.ok("gates", "acme/chat").text


def test_hostile_text_of_a_publisher_is_made_visible(program: Program, published: Path, tmp_path: Path) -> None:
    published.write_text('[[gate]]\nmetric = "auc"\nat_least = 0.95\nslices = "all"')
    program.ok("policy", "set", "acme/chat", published)
    evidence = {"metrics": [{"name": "auc", "value": 0.1, "slice": {"age": "\u202e\x1b[2J"}}]}
    (tmp_path / "evil.json").write_text(json.dumps(evidence))
    program.ok("evaluate", "acme/chat:1", "--evidence", tmp_path / "evil.json")
    ran = program.run("gates", "acme/chat:1")
    assert ran.code == 4
    assert "\x1b" not in ran.text + ran.errors
    assert "<U+202E>\\x1b[2J" in ran.text


def test_headline_metrics_of_the_next_publish_follow_the_policy(
    program: Program, published: Path, files: Path, tmp_path: Path
) -> None:
    program.ok("policy", "set", "acme/chat", published)
    program.ok("publish", "acme/chat", files, "--metrics", tmp_path / "metrics.json")
    newest, first = program.json("versions", "acme/chat")
    assert newest["metrics"] == {"f1": 0.5, "auc": 0.91}
    assert set(first["metrics"]) == {"auc", "loss", "f1"}


def test_mistakes_name_the_file_and_the_key(program: Program, published: Path, tmp_path: Path) -> None:
    published.write_text("aprovals_required = 1")
    told = program.fails(2, "policy", "set", "acme/chat", published)
    assert "policy.toml" in told
    assert "write approvals_required" in told
    published.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in program.fails(2, "policy", "set", "acme/chat", published)
    program.fails(3, "policy", "set", "acme/chat", tmp_path / "missing.toml")
    program.fails(3, "policy", "set", "acme/other", _valid(published))
    program.fails(2, "policy", "set", published)
    program.fails(2, "policy", "set", "--default", "acme/chat", published)
    program.fails(2, "policy", "show")
    program.fails(2, "policy", "show", "acme/chat", "--default")
    program.fails(3, "policy", "show", "acme/other")
    program.fails(3, "gates", "acme/chat:9")


def test_the_format_of_a_policy_in_the_bucket(program: Program, published: Path, registry: Path) -> None:
    digest = program.json("policy", "set", "acme/chat", published)["policy"]
    head = json.loads((registry / "heads" / "acme" / "chat.json").read_bytes().splitlines()[-1])
    assert head["policy"] == digest
    assert json.loads((registry / "policies" / f"{digest}.json").read_bytes())["approvals_required"] == 2


def _valid(path: Path) -> Path:
    path.write_text(POLICY)
    return path


def test_an_alias_that_nobody_knows_is_noted(program: Program, published: Path, tmp_path: Path) -> None:  # noqa: ARG001
    assert "has no alias prodution" in program.run("gates", "acme/chat:1", "--alias", "prodution").errors
    (tmp_path / "protected.toml").write_text('protected_aliases = ["prodution"]\n')
    program.ok("policy", "set", "acme/chat", tmp_path / "protected.toml")
    assert program.run("gates", "acme/chat:1", "--alias", "prodution").errors == ""


def test_a_history_that_only_the_default_has_is_pointed_at(
    program: Program,
    published: Path,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    assert program.ok("policy", "show", "acme/chat", "--history").text == "nobody has set a policy\n"
    (tmp_path / "default.toml").write_text("approvals_required = 1\n")
    program.ok("policy", "set", "--default", tmp_path / "default.toml")
    assert "policy show --default --history" in program.ok("policy", "show", "acme/chat", "--history").text
