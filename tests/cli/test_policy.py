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


BLANKS = {
    "nothing": b"",
    "spaces": b" \n\t\r\n",
    "a mark": b"\xef\xbb\xbf\n",
    "zeros": b"\x00" * 64,
    "words": b"# none\n",
}


@pytest.mark.parametrize("blank", BLANKS)
def test_an_empty_policy_is_refused_and_what_was_set_stays(
    program: Program, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str
) -> None:
    program.ok("policy", "set", "acme/chat", published)
    before = program.json("policy", "show", "acme/chat")
    body = BLANKS[blank]
    (tmp_path / "blank.toml").write_bytes(body)
    for command in (("set", "acme/chat"), ("set", "--default"), ("set", "acme/chat", "--yes"), ("check",)):
        told = program.fails(2, "policy", *command, tmp_path / "blank.toml")
        assert "is empty" in told or "states no rule" in told
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert "stdin" in program.run("policy", "set", "acme/chat", "-").errors
    assert program.json("policy", "show", "acme/chat") == before


def test_removing_protection_says_so_and_wants_a_yes(program: Program, published: Path, tmp_path: Path) -> None:
    program.ok("policy", "set", "acme/chat", published)
    before = program.json("policy", "show", "acme/chat")
    (tmp_path / "lax.toml").write_text("approvals_required = 1\n[[gate]]\nmetric = 'auc'\nat_least = 0.95\n")
    ran = program.run("policy", "set", "acme/chat", tmp_path / "lax.toml")
    assert ran.code == 2
    assert "takes protection away: 1 approvals are required instead of 2" in ran.errors
    assert "no such gate any more: card has Limitations (before production)" in ran.errors
    assert "--yes" in ran.errors
    assert program.json("policy", "show", "acme/chat") == before
    done = program.json("policy", "set", "acme/chat", tmp_path / "lax.toml", "--yes")
    assert (done["changed"], len(done["removed"])) == (True, 2)
    (tmp_path / "lax.toml").write_text(POLICY.replace("0.9", "0.96").replace("= 2", "= 3"))
    program.ok("policy", "set", "acme/chat", tmp_path / "lax.toml")  # what adds protection does not ask


def test_removing_the_defaults_protection_wants_a_yes_too(program: Program, published: Path, tmp_path: Path) -> None:
    program.ok("policy", "set", "--default", published)
    (tmp_path / "lax.toml").write_text("gate = []\n")
    assert "--yes" in program.run("policy", "set", "--default", tmp_path / "lax.toml").errors
    (tmp_path / "own.toml").write_text("gate = []\n")
    assert (
        "no such gate any more: auc >= 0.9" in program.run("policy", "set", "acme/chat", tmp_path / "own.toml").errors
    )
    assert program.json("policy", "show", "acme/chat")["policy"] is None


def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    program: Program, published: Path, tmp_path: Path
) -> None:
    program.ok("policy", "set", "acme/chat", published)
    before = program.json("audit", "acme/chat")["verified_records"]
    (tmp_path / "lax.toml").write_text("approvals_required = 0\n")
    shown = program.ok("policy", "set", "acme/chat", tmp_path / "lax.toml", "--dry-run").text
    assert "the policy of acme/chat would change" in shown
    assert "approvals_required changed from 2 to 0" in shown
    assert "takes protection away: 0 approvals are required instead of 2" in shown
    document = program.json("policy", "set", "acme/chat", tmp_path / "lax.toml", "--dry-run")
    assert (document["dry_run"], document["changed"], len(document["removed"])) == (True, True, 3)
    assert program.json("policy", "set", "acme/chat", published, "--dry-run")["changed"] is False
    assert program.json("audit", "acme/chat")["verified_records"] == before


def test_a_policy_is_checked_before_it_is_set(program: Program, published: Path, tmp_path: Path) -> None:
    assert "gate: auc >= 0.9" in program.ok("policy", "check", published).text
    assert program.json("policy", "check", published)["policy"]["approvals_required"] == 2
    (tmp_path / "wrong.toml").write_text("aprovals_required = 2\n")
    assert "aprovals_required" in program.fails(2, "policy", "check", tmp_path / "wrong.toml")
    program.fails(3, "policy", "check", tmp_path / "missing.toml")
    program.fails(3, "policy", "check", "acme/other", published)
    program.fails(2, "policy", "check")


def test_a_policy_is_tried_on_the_versions_that_are_there(program: Program, published: Path, files: Path) -> None:
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    published.write_text(
        'approvals_required = 1\nprotected_aliases = ["production"]\n[[gate]]\nmetric="auc"\nat_least=0.9'
    )
    tried = program.json("policy", "check", "acme/chat", published)
    assert (tried["versions"], [one["version"] for one in tried["failing"]]) == (2, [2, 1])
    newest, named = tried["failing"]
    assert [gate["passed"] for gate in newest["gates"]] == [False]
    assert (named["gates"], named["aliases"]) == ([], ["production"])
    assert named["reasons"] == ["production is protected and names it: 0 of 1 approvals"]
    text = program.ok("policy", "check", "acme/chat", published).text
    assert "2 versions of acme/chat looked at, 2 would not meet it" in text
    assert program.json("policy", "show", "acme/chat")["policy"] is None


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "acme/chat:1", "--evidence", "FILE"),
        ("publish", "acme/other", "FILES", "--metrics", "FILE"),
        ("publish", "acme/other", "FILES", "--evidence", "FILE"),
        ("publish", "acme/other", "FILES", "--card", "FILE"),
        ("review", "reject", "acme/chat:1", "--signature", "FILE.sig"),
        ("resolve", "acme/chat@production", "--trust", "FILE"),
        ("pull", "acme/chat@production", "--trust", "FILE"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("blank", [b"", b"\n \n"])
def test_no_other_file_that_is_given_may_be_empty(
    program: Program, published: Path, files: Path, tmp_path: Path, command: tuple[str, ...], blank: bytes
) -> None:
    assert published.is_file()
    for name in ("given", "given.sig"):
        (tmp_path / name).write_bytes(blank)
        (tmp_path / name).chmod(0o600)
    words = [word.replace("FILES", str(files)).replace("FILE", str(tmp_path / "given")) for word in command]
    ran = program.run(*words)
    assert ran.code in (2, 4)
    assert "is empty" in ran.errors
    assert [model["model"] for model in program.json("models")] == ["acme/chat"]
