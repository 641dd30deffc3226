"""Does the command line serve only what a trust file accepts, and say why where it does not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trust.people import ANNA, BERT, Person, rule, signer, trust_text

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def trust(program: Program, registry: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a trust file that asks for two approvals of what production names: version 1, which has none."""
    assert registry.is_dir()
    monkeypatch.setenv("BUCKETRY_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    program.ok("publish", "risk/chat", files)
    program.ok("promote", "risk/chat:1", "production")
    known = program.json("init", registry)["registry"]
    path = tmp_path / "trust.toml"
    path.write_bytes(trust_text(signer(ANNA), signer(BERT), rule(), registry=known))
    path.chmod(0o644)
    return path


def approve(program: Program, person: Person, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = folder / person.principal
    private = person.signer.private_key
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    with monkeypatch.context() as patch:
        patch.setenv("BUCKETRY_IDENTITY", person.principal)
        program.ok("review", "approve", "risk/chat:1", "--sign", key)


@pytest.mark.parametrize("command", [["resolve"], ["pull"], ["tensors"], ["cat", "weights.bin"]])
def test_what_nobody_signed_is_refused_with_4_in_one_line(program: Program, trust: Path, command: list[str]) -> None:
    name, *rest = command
    message = program.fails(4, name, "risk/chat@production", *rest, "--trust", trust)
    assert "risk/chat@production (version 1) is not trusted here: it has 0 of 2 approvals" in message
    assert message.count("\n") == 1


def test_what_two_reviewers_signed_is_served(
    program: Program, trust: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(program, ANNA, tmp_path, monkeypatch)
    program.fails(4, "pull", "risk/chat@production", tmp_path / "served", "--trust", trust)
    assert not (tmp_path / "served").exists()
    approve(program, BERT, tmp_path, monkeypatch)
    pulled = program.json("pull", "risk/chat@production", tmp_path / "served", "--trust", trust)
    assert (pulled["version"], pulled["verify"]) == (1, "sha256")
    assert program.json("resolve", "risk/chat@production", "--trust", trust)["version"] == 1


def test_fast_verification_and_a_trust_file_exclude_each_other(program: Program, trust: Path, tmp_path: Path) -> None:
    message = program.fails(4, "pull", "risk/chat@production", tmp_path / "x", "--trust", trust, "--verify", "fast")
    assert "with a trust file, bytes are verified by SHA-256" in message


def test_a_missing_trust_file_refuses(program: Program, trust: Path, tmp_path: Path) -> None:
    trust.unlink()
    message = program.fails(4, "pull", "risk/chat@production", tmp_path / "x", "--trust", trust)
    assert "cannot be read" in message


def test_a_profiles_trust_file_binds_whoever_serves_and_nobody_else(
    program: Program, registry: Path, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trust.parent / "config.toml").write_text(f'[registries.prod]\nurl = "{registry}"\ntrust = "{trust.name}"\n')
    monkeypatch.setenv("BUCKETRY_REGISTRY", "prod")
    program.fails(4, "resolve", "risk/chat@production")
    assert program.json("show", "risk/chat:1")["version"] == 1
    program.ok("promote", "risk/chat:1", "staging")


@pytest.fixture
def profile(trust: Path, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a profile of the registry that names the trust file."""
    config = tmp_path / "profile.toml"
    config.write_text(f'[registries.serving]\nurl = "{registry}"\ntrust = "{trust}"\n')
    monkeypatch.setenv("BUCKETRY_CONFIG", str(config))
    return "serving"


def test_what_is_only_looked_at_is_marked_where_the_trust_file_refuses_it(
    program: Program, profile: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.ok("publish", "risk/chat", files, "--base", "risk/chat:1", "--relation", "finetune", "--notes", "2")
    refused = "NOT TRUSTED here: it has 0 of 2 approvals"
    assert refused in program.ok("-r", profile, "show", "risk/chat:1").text
    shown = program.json("-r", profile, "show", "risk/chat:1")["trust"]
    assert (shown["accepted"], [one["as"] for one in shown["refusals"]]) == (False, ["@production", "by number"])
    compared = program.ok("-r", profile, "diff", "risk/chat:1", "risk/chat:2")
    assert "risk/chat:1 is NOT TRUSTED here" in compared.errors
    assert "risk/chat:2 is NOT TRUSTED here" in compared.errors
    assert [one["accepted"] for one in program.json("-r", profile, "diff", "risk/chat:1", "risk/chat:2")["trust"]] == [
        False,
        False,
    ]
    assert program.ok("-r", profile, "lineage", "risk/chat:2").text.count("NOT TRUSTED here") == 2
    for person in (ANNA, BERT):
        approve(program, person, tmp_path, monkeypatch)
    assert "accepted @production" in program.ok("-r", profile, "show", "risk/chat@production").text
    assert program.json("-r", profile, "show", "risk/chat:1")["trust"]["accepted_as"] == ["@production"]
    nodes = program.json("-r", profile, "lineage", "risk/chat:2")["nodes"]
    assert {node["id"]: node["trust"]["accepted"] for node in nodes if node["kind"] == "version"} == {
        "risk/chat:1": True,
        "risk/chat:2": False,
    }


def test_without_a_trust_file_nothing_is_marked(program: Program, trust: Path) -> None:
    assert trust.is_file()
    assert program.json("show", "risk/chat:1")["trust"] is None
    assert "TRUSTED" not in program.ok("show", "risk/chat:1").text
