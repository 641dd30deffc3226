"""Do the commands that hand out bytes refuse what an alias names though it was refused, and say so of any other?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trust.people import ANNA, BERT, rule, signer, trust_text

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

WHY = "leaks training data"
BY_ALIAS = "acme/chat@production"
COMMANDS = {
    "pull": ("pull", BY_ALIAS, "dest"),
    "pull to the cache": ("pull", BY_ALIAS),
    "pull with its base": ("pull", BY_ALIAS, "dest", "--with-base"),
    "detached": ("pull", BY_ALIAS, "dest", "--detach"),
    "cat": ("cat", BY_ALIAS, "sub/notes.txt"),
}


@pytest.fixture
def revoked(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a registry whose production was revoked."""
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    program.ok("review", "approve", "acme/chat:1")
    program.ok("review", "revoke", "acme/chat:1", "--comment", WHY)
    monkeypatch.chdir(tmp_path)
    return registry


@pytest.mark.parametrize("name", COMMANDS)
def test_by_alias_it_is_refused_with_who_when_and_why(
    program: Program, revoked: Path, tmp_path: Path, name: str
) -> None:
    assert revoked.is_dir()
    refused = program.fails(4, *COMMANDS[name])
    assert "acme/chat@production names version 1, which ada@example.org revoked at 2" in refused
    assert WHY in refused
    assert "--allow-rejected" in refused
    assert not (tmp_path / "dest").exists()
    assert program.run(*COMMANDS[name], "--json").document["error"]["kind"] == "rejected"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "detached"])
@pytest.mark.parametrize("how", ["insisting", "by number", "by digest"])
def test_else_it_comes_with_a_note(program: Program, revoked: Path, name: str, how: str) -> None:
    assert revoked.is_dir()
    digest = program.json("resolve", "acme/chat:1")["manifest"]
    reference = {"insisting": BY_ALIAS, "by number": "acme/chat:1", "by digest": f"acme/chat@sha256:{digest}"}[how]
    words = [reference if word == BY_ALIAS else word for word in COMMANDS[name]]
    said = program.ok(*words, *(("--allow-rejected",) if how == "insisting" else ()))
    assert "note: this is acme/chat version 1, which ada@example.org revoked at 2" in said.errors
    assert WHY in said.errors


def test_json_tells_the_state_and_the_refusals(program: Program, revoked: Path) -> None:
    assert revoked.is_dir()
    pulled = program.json("pull", "acme/chat:1", "dest")
    assert pulled["state"] == "rejected"
    [refusal] = pulled["refusals"]
    assert (refusal["action"], refusal["by"], refusal["reason"]) == ("revoke", "ada@example.org", WHY)
    assert refusal["at"].startswith("20")


def test_resolve_says_the_state_and_is_no_failure(program: Program, revoked: Path) -> None:
    assert revoked.is_dir()
    assert program.json("resolve", BY_ALIAS)["state"] == "rejected"
    assert "rejected" in program.ok("resolve", BY_ALIAS).text


def test_what_nobody_refused_has_no_note(program: Program, registry: Path, files: Path, tmp_path: Path) -> None:
    assert registry.is_dir()
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    said = program.ok("pull", BY_ALIAS, tmp_path / "dest")
    assert "this is" not in said.errors
    pulled = program.json("pull", BY_ALIAS, tmp_path / "dest")
    assert (pulled["state"], pulled["refusals"]) == ("registered", [])


def test_help_says_what_is_refused(program: Program) -> None:
    for command in ("pull", "cat", "tensors", "watch"):
        said = " ".join(program.ok(command, "--help").text.split())
        assert "--allow-rejected" in said
        assert "rejected or revoked" in said


@pytest.mark.parametrize("command", [["pull"], ["cat", "weights.bin"], ["tensors"]])
def test_to_insist_overrides_no_trust_file(
    program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    program.ok("publish", "risk/chat", files)
    program.ok("promote", "risk/chat:1", "production")
    program.ok("review", "reject", "risk/chat:1", "--comment", WHY)
    trust = tmp_path / "trust.toml"
    known = program.json("init", registry)["registry"]
    trust.write_bytes(trust_text(signer(ANNA), signer(BERT), rule(), registry=known))
    trust.chmod(0o644)
    name, *rest = command
    refused = program.fails(4, name, "risk/chat@production", *rest, "--trust", trust, "--allow-rejected")
    assert "risk/chat@production (version 1) is not trusted here" in refused
