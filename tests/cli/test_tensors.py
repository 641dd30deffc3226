"""Are tensors listed for people and scripts, and is it said where bytes were not verified?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.transfer.disk import hashing
from registry.safetensors_files import make_file, make_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

CHUNK_BYTES = 1024


@pytest.fixture
def published(program: Program, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hashing, "SMALLEST_CHUNK_BYTES", CHUNK_BYTES)
    tensors = {"layer.w": ("F32", [300, 2], bytes(2400)), "\x1b[2Jname": ("I64", [], bytes(8))}
    file = tmp_path / "model.safetensors"
    file.write_bytes(make_tensors(tensors))
    program.ok("publish", "acme/chat", file)
    return registry


def test_tensors_are_a_table_for_people(program: Program, published: Path) -> None:
    assert published.is_dir()
    ran = program.ok("tensors", "acme/chat:1")
    title, first, second = ran.text.splitlines()
    assert title.split() == ["NAME", "DTYPE", "SHAPE", "SIZE", "FILE"]
    assert first.split() == ["layer.w", "F32", "300x2", "2.4", "kB", "model.safetensors"]
    assert second.split() == [r"\x1b[2Jname", "I64", "-", "8", "B", "model.safetensors"]
    assert ran.errors == "note: the headers were not verified, since they fill no whole chunks; --verified does it\n"
    assert program.ok("tensors", "acme/chat:1", "--quiet").errors == ""
    assert program.ok("tensors", "acme/chat:1", "--verified").errors == ""


def test_tensors_are_a_document_for_scripts(program: Program, published: Path) -> None:
    assert published.is_dir()
    first, second = program.json("tensors", "acme/chat:1")
    assert set(first) == {"name", "dtype", "shape", "size_bytes", "path", "start", "stop"}
    assert (first["name"], first["shape"], first["size_bytes"]) == ("layer.w", [300, 2], 2400)
    assert (second["name"], second["shape"], second["start"]) == ("\x1b[2Jname", [], first["stop"])


def test_a_version_without_tensors_and_a_hostile_file_are_one_clear_line(
    program: Program, published: Path, files: Path, tmp_path: Path
) -> None:
    assert published.is_dir()
    program.ok("publish", "acme/plain", files)
    assert "has no .safetensors file" in program.fails(3, "tensors", "acme/plain:1")
    (tmp_path / "model.safetensors").write_bytes(make_file({"\x1b[2J": 7}, b""))
    program.ok("publish", "acme/hostile", tmp_path / "model.safetensors")
    line = program.fails(8, "tensors", "acme/hostile:1")
    assert r"tensor '\x1b[2J' does not have a dtype, a shape and offsets" in line


@pytest.mark.parametrize(
    ("wanted", "is_verified"),
    [
        ((), True),
        (("--range", "0-"), True),
        (("--range", "1024-2047"), True),
        (("--range", "1024-"), True),
        (("--range", "0-7"), False),
        (("--range", "1024-2046"), False),
        (("--range", "-5"), False),
    ],
    ids=str,
)
def test_cat_says_where_bytes_were_not_verified(
    program: Program, published: Path, wanted: tuple[str, ...], *, is_verified: bool
) -> None:
    assert published.is_dir()
    ran = program.ok("cat", "acme/chat:1", "model.safetensors", *wanted)
    assert ran.errors.startswith("note: not all of these bytes were verified") is not is_verified
    assert ran.errors.count("\n") == (0 if is_verified else 1)
    quiet = program.ok("cat", "acme/chat:1", "model.safetensors", *wanted, "--quiet")
    assert (quiet.stdout, quiet.errors) == (ran.stdout, "")


def test_cat_says_nothing_of_no_bytes(program: Program, registry: Path, tmp_path: Path) -> None:
    assert registry.is_dir()
    (tmp_path / "empty").write_bytes(b"")
    program.ok("publish", "acme/empty", tmp_path / "empty")
    assert program.ok("cat", "acme/empty:1", "empty").errors == ""
