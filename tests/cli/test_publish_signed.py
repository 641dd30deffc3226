from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trust.openssh import NEED_SSH_KEYGEN, make_key

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

pytestmark = NEED_SSH_KEYGEN

POLICY = 'approvals_required = 1\nseparate_duties = true\nsignatures = "required"\n'


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return make_key(tmp_path)


def test_a_publish_is_signed(program: Program, registry: Path, files: Path, key: Path) -> None:
    assert registry.exists()
    program.ok("publish", "acme/chat", files, "--sign", key)
    shown = program.json("show", "acme/chat:1")
    (review,) = shown["reviews"]
    assert (review["action"], review["principal"], review["signed"]) == ("publish", "ada@example.org", True)
    assert review["manifest"] == shown["manifest"]
    assert shown["state"] == "registered"


def test_only_what_was_published_signed_can_be_approved_under_separate_duties(
    program: Program, registry: Path, files: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.exists()
    program.ok("publish", "acme/chat", files)
    program.ok("publish", "acme/chat", files, "--sign", key, "--notes", "signed")
    (tmp_path / "policy.toml").write_text(POLICY)
    program.ok("policy", "set", "acme/chat", tmp_path / "policy.toml")
    monkeypatch.setenv("BUCKETRY_IDENTITY", "anna@example.org")
    approve = ("review", "approve", "acme/chat:1", "--sign", make_key(tmp_path, comment="anna"))
    assert "nobody signed the publish of version 1" in program.fails(4, *approve)
    assert "nobody signed the publish of version 1" in program.fails(4, *approve[:3], "--detached")
    assert program.json("review", "approve", "acme/chat:2", *approve[3:])["state"] == "approved"


def test_without_a_key_nothing_is_published(
    program: Program, registry: Path, files: Path, key: Path, tmp_path: Path
) -> None:
    assert registry.exists()
    assert key.exists()
    program.fails(3, "publish", "acme/chat", files, "--sign")
    program.fails(3, "publish", "acme/chat", files, "--sign", tmp_path / "nothing")
    program.fails(2, "publish", "acme/chat", files, "--sign", files / "README.md")
    program.fails(3, "versions", "acme/chat")
