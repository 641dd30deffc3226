"""Does `pull --with-base` say where everything lies?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def adapted(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with an adapter of a base."""
    program.ok("publish", "acme/base", files)
    (files / "weights.bin").write_bytes(b"adapter")
    program.ok("publish", "acme/chat", files, "--base", "acme/base:1", "--relation", "adapter")
    return registry


def test_an_adapter_comes_with_its_base(program: Program, adapted: Path, tmp_path: Path) -> None:
    assert adapted.is_dir()
    pulled = program.json("pull", "acme/chat", tmp_path / "chat", "--with-base")
    base = program.json("resolve", "acme/base")
    assert pulled["bases"] == [
        {
            "path": str(tmp_path / "chat-base"),
            "model": "acme/base",
            "version": 1,
            "manifest": base["manifest"],
            "relation": "adapter",
            "state": "registered",
            "refusals": [],
        }
    ]
    assert (tmp_path / "chat" / "weights.bin").read_bytes() == b"adapter"
    assert (tmp_path / "chat-base" / "README.md").read_text() == "# A model\n"
    lines = program.ok("pull", "acme/chat", tmp_path / "chat", "--with-base").text.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        f"pulled acme/base:1 to {tmp_path}/chat-base",
        f"pulled acme/chat:1 to {tmp_path}/chat",
    ]


def test_without_a_target_the_base_is_in_the_cache(program: Program, adapted: Path, tmp_path: Path) -> None:
    assert adapted.is_dir()
    [base] = program.json("pull", "acme/chat", "--with-base")["bases"]
    assert base["path"].startswith(str(tmp_path / "cache"))


def test_what_is_no_adapter_comes_with_a_note(program: Program, adapted: Path, tmp_path: Path) -> None:
    assert adapted.is_dir()
    ran = program.ok("pull", "acme/base", tmp_path / "base", "--with-base")
    assert "acme/base:1 is no adapter: no base" in ran.errors
    assert program.json("pull", "acme/base", tmp_path / "base", "--with-base")["bases"] == []
    assert "bases" not in program.json("pull", "acme/base", tmp_path / "base")


def test_a_relative_target_has_its_base_beside_it(
    program: Program, adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert adapted.is_dir()
    monkeypatch.chdir(tmp_path)
    [base] = program.json("pull", "acme/chat", "chat/", "--with-base")["bases"]
    assert base["path"] == str(tmp_path / "chat-base")
