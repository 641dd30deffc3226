"""Does `materialize` say where the files are, and does `watch --materialize` have them there before it tells a move?"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.harness import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    (files / "optimizer.pt").write_bytes(b"only for training")
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    return registry


def test_the_files_lie_in_a_folder_of_the_registry(program: Program, published: Path, files: Path) -> None:
    folder = published / "serve" / "acme" / "chat" / "1"
    plan = program.json("materialize", "acme/chat@production", "--dry-run")
    assert not folder.exists()
    told = program.ok("materialize", "acme/chat@production").text
    assert told.splitlines()[0] == f"file://{folder}"
    assert "acme/chat:1 (3 files, " in told
    assert (folder / "weights.bin").read_bytes() == (files / "weights.bin").read_bytes()
    assert not (folder / "optimizer.pt").exists()
    done = program.json("materialize", "acme/chat@production")
    assert done | {"copied_bytes": done["size_bytes"], "dry_run": True} == plan
    assert (done["uri"], done["copied_bytes"]) == (f"file://{folder}", 0)
    ready = json.loads((folder / ".bucketry" / "ready.json").read_text("utf-8"))
    assert ready["files"] == done["files"]
    assert "nothing is wrong" in program.ok("fsck", "--deep").text


def test_patterns_choose_and_bare_names_are_a_usage_error(program: Program, published: Path) -> None:
    assert published.is_dir()
    chosen = program.json("materialize", "acme/chat:1", "--include", "*.pt")
    assert [file["path"] for file in chosen["files"]] == ["optimizer.pt"]
    assert "acme/chat means acme/chat:1 now" in program.fails(2, "materialize", "acme/chat")
    program.fails(3, "materialize", "acme/chat:1", "--include", "nothing")
    program.fails(2, "materialize", "acme/chat:1", "--remove", "--dry-run")


def test_revoked_it_is_refused_not_ready_and_removed(program: Program, published: Path) -> None:
    program.ok("materialize", "acme/chat:1")
    program.ok("review", "reject", "acme/chat:1", "--comment", "leaks")
    assert not (published / "serve" / "acme" / "chat" / "1" / ".bucketry" / "ready.json").exists()
    assert "leaks" in program.fails(4, "materialize", "acme/chat@production")
    removed = program.json("materialize", "acme/chat:1", "--remove")
    assert (removed["removed"], removed["objects"]) == (["serve/acme/chat/1/"], 3)
    assert program.json("materialize", "acme/chat:1", "--remove")["objects"] == 0


def test_a_watch_has_each_version_there_before_it_tells_it(program: Program, published: Path) -> None:
    assert program.run("watch", "acme/chat@nothing", "--materialize").code == 3
    command = [*PROGRAM, "watch", "acme/chat@production", "--materialize", "--interval", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            program.ok("review", "reject", "acme/chat:1", "--comment", "leaks")
            second = json.loads(process.stdout.readline())
        finally:
            process.terminate()
    folder = published / "serve" / "acme" / "chat" / "1"
    assert (first["version"], first["uri"]) == (1, f"file://{folder}")
    assert (folder / "weights.bin").is_file()
    assert (second["state"], second["uri"]) == ("rejected", None)
