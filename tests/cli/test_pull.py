"""Does a target hold exactly one complete version, or what it held before? And are single files read as they are?"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry with two versions that differ in their weights."""
    program.ok("publish", "acme/chat", files)
    (files / "weights.bin").write_bytes(b"second")
    program.ok("publish", "acme/chat", files)
    return registry


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".bucketry" not in path.relative_to(folder).parts
    }


def test_what_was_published_is_what_is_pulled(program: Program, published: Path, files: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    dest = tmp_path / "dest"
    pulled = program.json("pull", "acme/chat:2", dest)
    keys = {"path", "model", "version", "manifest", "size_bytes", "fetched_bytes", "reused_bytes", "seconds", "verify"}
    keys |= {"state", "refusals"}
    assert set(pulled) == keys
    assert (pulled["path"], pulled["model"], pulled["version"]) == (str(dest), "acme/chat", 2)
    assert (pulled["size_bytes"], pulled["fetched_bytes"], pulled["verify"]) == (22, 22, "sha256")
    assert contents(dest) == contents(files)
    assert json.loads((dest / ".bucketry" / "receipt.json").read_bytes())["version"] == 2


def test_pulling_what_is_there_fetches_nothing(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.ok("pull", "acme/chat:1", tmp_path / "dest")
    again = program.json("pull", "acme/chat:1", tmp_path / "dest")
    assert (again["fetched_bytes"], again["reused_bytes"]) == (0, again["size_bytes"])
    assert again["verify"] == "sizes_and_times"
    assert "already there, sizes and times checked" in program.ok("pull", "acme/chat:1", tmp_path / "dest").text


def test_asking_for_sha256_reads_again_what_is_there(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    dest = tmp_path / "dest"
    assert "verified by SHA-256" in program.ok("pull", "acme/chat:1", dest).text
    file = dest / "weights.bin"
    before = file.stat()
    file.write_bytes(b"?" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert program.json("pull", "acme/chat:1", dest)["fetched_bytes"] == 0
    mended = program.json("pull", "acme/chat:1", dest, "--verify", "sha256")
    assert (mended["fetched_bytes"], mended["verify"]) == (before.st_size, "sha256")
    assert program.json("pull", "acme/chat:1", dest, "--verify", "sha256")["fetched_bytes"] == 0


def test_a_file_of_the_users_in_a_target_is_named_and_stays(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    dest = tmp_path / "dest"
    program.ok("pull", "acme/chat:1", dest)
    (dest / "sub/mine.txt").write_text("mine")
    for version in (1, 2):
        line = program.fails(4, "pull", f"acme/chat:{version}", dest)
        assert f"{dest}/sub/mine.txt is a file" in line
        assert f"move it out of {dest}" in line
    assert contents(dest)["sub/mine.txt"] == b"mine"


@pytest.mark.parametrize("name", ["x" * 256, "x/" * 3000 + "x"])
def test_a_target_with_an_impossible_name_is_a_usage_error(
    program: Program, published: Path, tmp_path: Path, name: str
) -> None:
    assert published.is_dir()
    assert "longer than" in program.fails(2, "pull", "acme/chat:1", tmp_path / name)


def test_a_target_that_may_not_be_read_is_denied(
    program: Program, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published.is_dir()
    dest = tmp_path / "dest"
    program.ok("pull", "acme/chat:1", dest)
    honest = os.open

    def refuse(path: Any, *rest: Any, **named: Any) -> int:
        if path == dest:
            raise PermissionError(errno.EACCES, "no")
        return honest(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    # What the argument's own check would look at: the superuser, who runs tests too, may read everything.
    monkeypatch.setattr(os, "access", lambda path, *_, **__: Path(path) != dest)
    assert str(dest) in program.fails(7, "pull", "acme/chat:1", dest)


def test_absolute_paths_need_no_current_folder(
    program: Program, published: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published.is_dir()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert program.json("publish", "acme/chat", files)["version"] == 3
    assert program.json("pull", "acme/chat:3", tmp_path / "dest")["path"] == str(tmp_path / "dest")
    assert contents(tmp_path / "dest") == contents(files)


def test_another_version_of_ours_is_replaced_and_its_bytes_reused(
    program: Program, published: Path, files: Path, tmp_path: Path
) -> None:
    assert published.is_dir()
    program.ok("pull", "acme/chat:1", tmp_path / "dest")
    swapped = program.json("pull", "acme/chat:2", tmp_path / "dest")
    assert (swapped["fetched_bytes"], swapped["reused_bytes"]) == (6, 16)
    assert contents(tmp_path / "dest") == contents(files)
    assert [path.name for path in tmp_path.iterdir() if "dest" in path.name] == ["dest"]


def test_a_foreign_target_is_left_untouched(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    file.write_text("mine")
    for target in (folder, file):
        assert "untouched" in program.fails(4, "pull", "acme/chat", target)
    assert contents(folder) == {"mine.txt": b"mine"}
    assert file.read_text() == "mine"


def test_without_a_target_the_cache_is_filled(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    first = program.json("pull", "acme/chat:1")
    assert first["path"].startswith(str(tmp_path / "cache"))
    assert program.json("pull", "acme/chat:1")["fetched_bytes"] == 0
    assert program.json("pull", "acme/chat:1", tmp_path / "dest")["fetched_bytes"] == 0
    entries = program.json("cache", "list")["entries"]
    assert {entry["kind"] for entry in entries} == {"blob", "version"}
    assert set(entries[0]) == {"kind", "path", "size_bytes", "used_at"}


def test_a_model_without_a_namespace_can_be_cached(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    program.ok("publish", "chat", files)
    assert program.json("pull", "chat")["model"] == "chat"


def test_pulling_to_a_target_does_not_fill_the_cache(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.ok("pull", "acme/chat:1", tmp_path / "dest")
    assert program.json("cache", "list")["entries"] == []


def test_patterns_choose_files(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    program.ok("pull", "acme/chat:1", tmp_path / "texts", "--include", "*.txt", "--include", "*.md")
    assert set(contents(tmp_path / "texts")) == {"README.md", "sub/notes.txt"}
    program.ok("pull", "acme/chat:1", tmp_path / "rest", "--exclude", "sub/*")
    assert set(contents(tmp_path / "rest")) == {"README.md", "weights.bin"}


def test_speed_options_are_taken(program: Program, published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    options = ("--verify", "fast", "--connections", "2", "--limit", "500")
    assert program.json("pull", "acme/chat:1", tmp_path / "dest", *options)["verify"] == "fast"


def test_the_cache_is_verified_and_pruned(program: Program, published: Path) -> None:
    assert published.is_dir()
    program.ok("pull", "acme/chat:2")
    assert program.json("cache", "verify")["removed"] == []
    pruned = program.json("cache", "prune", "--max-size", "1kB")
    assert (pruned["removed"], pruned["kept_bytes"]) == ([], 22)
    assert "freed 22 B" in program.ok("cache", "prune").text
    assert program.json("cache", "list")["entries"] == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), b"# A model\n"),
        (("--range", "2-2"), b"A"),
        (("--range", "0-0"), b"#"),
        (("--range", "4-"), b"model\n"),
        (("--range", "-6"), b"model\n"),
        (("--range", "-600"), b"# A model\n"),
        (("--range", "4-600"), b"model\n"),
        (("--json",), b"# A model\n"),
    ],
)
def test_cat_writes_exactly_the_bytes(
    program: Program, published: Path, options: tuple[str, ...], expected: bytes
) -> None:
    assert published.is_dir()
    assert program.ok("cat", "acme/chat:1", "README.md", *options).stdout == expected


def test_cat_writes_an_empty_file(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    (files / "weights.bin").write_bytes(b"")
    program.ok("publish", "acme/chat", files)
    assert program.ok("cat", "acme/chat:3", "weights.bin").stdout == b""
