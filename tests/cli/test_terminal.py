"""What does a person see: text that cannot act on the terminal, tables that fit, and progress that leaves no trace?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from cli.harness import run_alone, run_in_terminal, write_as_a_stranger

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u200b\x9b31m\x7f"
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]")
OUR_STYLES = re.compile("\x1b\\[(1|0|1;31)m|\r\x1b\\[2K")


@pytest.fixture
def hostile(program: Program, registry: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a registry in which every free text is hostile."""
    assert registry.is_dir()
    write_as_a_stranger(monkeypatch)
    metrics = files.parent / "m.json"
    metrics.write_bytes(b'{"\\u001b[2Jauc": 0.5}')
    monkeypatch.setenv("BUCKETRY_IDENTITY", "eve@example.org")
    program.ok(
        *("publish", "acme/chat", files, "--notes", HOSTILE + "\nline two", "--label", f"a={HOSTILE}"),
        *("--param", f"p={HOSTILE}", "--command", HOSTILE, "--experiment", HOSTILE, "--metrics", metrics),
        *("--dataset", f"name={HOSTILE}", "--framework", HOSTILE),
    )
    program.ok("edit", "acme/chat", "--description", HOSTILE)
    program.ok("promote", "acme/chat:1", "production", "--reason", HOSTILE)
    program.ok("promote", "acme/chat:1", "canary", "--reason", HOSTILE * 5)
    return registry


@pytest.mark.parametrize(
    "arguments",
    [
        ("models",),
        ("versions", "acme/chat"),
        ("show", "acme/chat"),
        ("show", "acme/chat", "--reproduce"),
        ("aliases", "acme/chat", "--history", "production"),
        ("aliases", "acme/chat", "--history", "canary"),
        ("audit", "acme/chat"),
        ("show", HOSTILE.replace("\x00", "")),
        ("cat", "acme/chat", HOSTILE),
        ("models", "-r", HOSTILE),
        ("audit", "acme/chat", "--export", f"/nowhere/{HOSTILE}"),
        ("resolve", "acme/chat", "--at", HOSTILE),
        (HOSTILE,),
    ],
)
def test_foreign_text_never_reaches_the_terminal_raw(
    program: Program, hostile: Path, arguments: tuple[str, ...]
) -> None:
    assert hostile.is_dir()
    ran = program.run(*arguments)
    for text in (ran.text, ran.errors):
        assert not DANGEROUS.search(text), text
    assert "\\x1b" in ran.text + ran.errors
    document = program.run(*arguments, "--json")
    assert not DANGEROUS.search(document.text)
    assert document.document is not None


def test_json_is_exact(program: Program, hostile: Path) -> None:
    assert hostile.is_dir()
    shown = program.json("show", "acme/chat")
    assert shown["notes"] == HOSTILE + "\nline two"
    assert shown["training"]["hyperparameters"]["p"] == HOSTILE
    assert program.json("models")[0]["description"] == HOSTILE


def test_a_file_is_exact_on_a_pipe_and_visible_on_a_terminal(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    (files / "README.md").write_text(HOSTILE + "\n")
    program.ok("publish", "acme/chat", files)
    assert run_alone("cat", "acme/chat", "README.md").stdout.decode() == HOSTILE + "\n"
    code, text = run_in_terminal("cat", "acme/chat", "README.md")
    assert code == 0
    assert not DANGEROUS.search(text)
    assert "\\x1b[2J" in text


def test_a_terminal_gets_colours_and_lines_that_fit(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    program.ok("publish", "acme/a-name-that-is-quite-long-for-a-model-in-a-table", files)
    program.ok(*("edit", "acme/a-name-that-is-quite-long-for-a-model-in-a-table", "--description", "long words " * 20))
    code, text = run_in_terminal("models")
    assert code == 0
    assert text.startswith("\x1b[1mMODEL")
    lines = [OUR_STYLES.sub("", line) for line in text.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].endswith("…")
    assert "\x1b" not in run_in_terminal("models", "--no-color")[1]


def test_progress_is_shown_on_a_terminal_and_gone_at_the_end(registry: Path, files: Path) -> None:
    assert registry.is_dir()
    with (files / "weights.bin").open("wb") as file:
        file.truncate(30_000_000)
    code, text = run_in_terminal("publish", "acme/chat", files)
    assert code == 0
    assert "hashing [" in text
    assert "uploading [" in text
    assert text.rpartition("\x1b[2K")[2].startswith("published acme/chat:1 (30.0 MB, 3 files; ")
    quiet = run_in_terminal("publish", "acme/chat", files, "--quiet")[1]
    assert quiet.startswith("published acme/chat:2")
    assert run_alone("publish", "acme/chat", files).stderr == b"note: acme/chat:3 has the very files of acme/chat:2\n"


def test_an_error_on_a_terminal_comes_after_the_progress_line(program: Program, registry: Path, files: Path) -> None:
    program.ok("publish", "acme/chat", files)
    for blob in (registry / "blobs" / "acme" / "chat" / "1").iterdir():
        blob.chmod(0o644)
        blob.write_bytes(b"x" * blob.stat().st_size)
    code, text = run_in_terminal("pull", "acme/chat", files.parent / "dest")
    assert code == 8
    assert text.rpartition("\x1b[2K")[2].startswith("\x1b[1;31merror[corrupt]:\x1b[0m ")


def test_no_command_on_a_terminal_is_help() -> None:
    code, text = run_in_terminal()
    assert code == 0
    assert text.startswith("Usage: bucketry")


def test_many_files_are_shown_and_leave_no_trace(program: Program, registry: Path, files: Path) -> None:
    assert registry.is_dir()
    for n in range(3):
        with (files / f"weights-{n}.bin").open("wb") as file:
            file.truncate(60_000_000)
    program.ok("publish", "acme/chat", files)
    code, text = run_in_terminal("pull", "acme/chat", files.parent / "dest", "--limit", "200")
    assert code == 0
    assert re.search(r"downloading \[[#-]+\].*\n  \[[#-]+\] +[0-9]+%  60.0 MB .* weights-[0-9].bin", text)
    left = screen_after(text)
    assert left[0].startswith("pulled acme/chat:1 to ")
    assert "downloading" not in "".join(left)


def screen_after(text: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines, row = [""], 0
    for found in re.finditer(r"\x1b\[(?P<code>[0-9;]*[A-Za-z])|(?P<control>[\r\n])|(?P<text>[^\x1b\r\n]+)", text):
        if found["control"] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif found["code"] == "1A":
            row -= 1
        elif found["code"] == "2K":
            lines[row] = ""
        elif found["text"]:
            lines[row] += found["text"]
    return lines
