"""Where a machine lacks what programs take for granted: does every command work, or say in one line what to do?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from cli.harness import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cli.harness import Program

LONGEST_SECONDS = 60.0
SILENT_SECONDS = 20.0
RUN = "from bucketry.cli.main import run; run()"
WITHOUT_A_USER = f"""
import pwd
def nobody(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = nobody
{RUN}
"""
NO_FLOCK = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/file.h>
int flock(int descriptor, int operation) { errno = ENOLCK; return -1; }
"""
# A read-only machine: nothing can be written but what a test mounts, and there is no temporary folder.
READ_ONLY = (
    "mount --bind / / && mount -o remount,ro,bind / && mount --bind {folder} {folder}"
    " && mount -o remount,ro,bind {folder}"
    " && for place in /tmp /var/tmp /dev/shm; do mountpoint -q $place && mount -o remount,ro,bind $place"
    " || {{ mount --bind $place $place && mount -o remount,ro,bind $place; }}; done; cd / && mount -t tmpfs none /mnt"
    ' && exec "$@"'
)
READS = {
    "models": ("models",),
    "versions": ("versions", "acme/chat", "--json"),
    "show": ("show", "acme/chat:1"),
    "resolve": ("resolve", "acme/chat@production"),
    "diff": ("diff", "acme/chat:1", "acme/chat:2"),
    "search": ("search", "label:note=ärgerlich"),
    "cat": ("cat", "acme/chat:1", "README.md"),
    "audit": ("audit", "acme/chat", "--verify"),
    "reviews": ("reviews",),
    "fsck": ("fsck",),
    "help": ("--help",),
    "completion": ("completion", "bash"),
}
STREAMED = {name: READS[name] for name in ("models", "versions", "cat", "help")}
NEED_A_PLACE = {"cache list": ("cache", "list"), "transfers": ("transfers",), "pull": ("pull", "acme/chat@production")}


@dataclass(frozen=True)
class Hostile:
    """An environment: what it changes, and what may fail in it, with which code, by the name of the command."""

    change: Mapping[str, str | None] = field(default_factory=dict)
    program: Sequence[str] = tuple(PROGRAM)
    redirections: str = ""
    codes: Mapping[str, int] = field(default_factory=dict)
    otherwise: int = 0
    preload: bool = False
    read_only: bool = False


NOWHERE: dict[str, str | None] = dict.fromkeys(
    ("HOME", "BUCKETRY_CACHE", "BUCKETRY_STATE", "BUCKETRY_CONFIG", "BUCKETRY_IDENTITY", "USER", "LOGNAME")
)
ENVIRONMENTS = {
    "no user": Hostile(NOWHERE, (sys.executable, "-c", WITHOUT_A_USER), codes=dict.fromkeys(NEED_A_PLACE, 2)),
    "a home that is a file": Hostile({**NOWHERE, "HOME": "/dev/null"}, codes={"pull": 6, "transfers": 6}),
    "a home that may not be written": Hostile({**NOWHERE, "HOME": "/proc/self"}, codes={"pull": 3, "transfers": 0}),
    "no locks": Hostile(preload=True),
    "no temporary folder": Hostile({"TMPDIR": "/nowhere"}),
    "a machine that may not be written": Hostile(
        {**NOWHERE, "HOME": "/root"}, codes={"models": 6, "search": 6, "reviews": 6, "pull": 7}, read_only=True
    ),
    "stdin closed": Hostile(redirections="<&-"),
    "stdout closed": Hostile(redirections=">&-", otherwise=6),
    "stdout for reading": Hostile(redirections="1</dev/null", otherwise=6),
    "stderr closed": Hostile(redirections="2>&-"),
    "all closed": Hostile(redirections="<&- >&- 2>&-", otherwise=6),
    "the C locale": Hostile({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}),
    "no UTF-8 at all": Hostile(
        {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
        codes={"search": 2, "doctor": 9, "init": 9},  # a name that this locale cannot write
    ),
    "no terminal, no user's name": Hostile({"TERM": None, "USER": None, "LOGNAME": None, "COLUMNS": "0"}),
}


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    for number in (1, 2):
        (files / "weights.bin").write_bytes(b"%d" % number)
        program.ok("publish", "acme/chat", files, "--label", "note=ärgerlich", "--notes", "naïve ✓")
    program.ok("promote", "acme/chat:1", "production")
    return registry


def run_in(hostile: Hostile, folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    settings = {name: value for name, value in {**os.environ, **hostile.change}.items() if value is not None}
    if hostile.preload:
        settings["LD_PRELOAD"] = str(without_locks(folder))
    command = ["/bin/sh", "-c", f'exec "$@" {hostile.redirections}', "sh", *hostile.program, *arguments]
    if hostile.read_only:
        unshare = shutil.which("unshare")
        if os.geteuid() != 0 or unshare is None:
            pytest.skip("only root may make this machine read-only for one program")
        command = [unshare, "-m", "/bin/sh", "-c", READ_ONLY.format(folder=folder), "sh", *command]
    return subprocess.run(command, capture_output=True, env=settings, timeout=LONGEST_SECONDS, check=False)


def without_locks(folder: Path) -> Path:
    library, source = folder / "noflock.so", folder / "noflock.c"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no compiler for a library without locks")
    if not library.exists():
        source.write_text(NO_FLOCK)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def check_ran(ran: subprocess.CompletedProcess[bytes], what: str, code: int) -> None:
    errors = ran.stderr.decode()
    assert ran.returncode == code, (what, ran)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    assert "error[bug]" not in errors
    if code and errors:
        (line,) = [line for line in errors.splitlines() if not line.startswith("note: ")]
        assert line.startswith("error["), (what, line)
        assert "; do this: " in line, (what, line)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_reading_command_works_or_says_what_to_do(
    published: Path, tmp_path: Path, name: str, *, is_deep: bool
) -> None:
    """Everyday, each environment has the commands that fail in it and a third of the others, not that of the next."""
    assert published.is_dir()
    hostile = ENVIRONMENTS[name]
    asked = STREAMED if hostile.redirections else READS | NEED_A_PLACE
    turn = list(ENVIRONMENTS).index(name)
    for place, (what, arguments) in enumerate(asked.items()):
        if not is_deep and what not in hostile.codes and (place + turn) % 3:
            continue
        started = time.monotonic()
        ran = run_in(hostile, tmp_path, arguments)
        check_ran(ran, f"{name}: {what}", hostile.codes.get(what, hostile.otherwise))
        assert time.monotonic() - started < SILENT_SECONDS


@pytest.mark.parametrize("name", [name for name in ENVIRONMENTS if not ENVIRONMENTS[name].otherwise])
def test_a_version_can_be_pulled_to_a_target_everywhere(published: Path, tmp_path: Path, name: str) -> None:
    assert published.is_dir()
    hostile = ENVIRONMENTS[name]
    target = "/mnt" if hostile.read_only else str(tmp_path / "dest")
    ran = run_in(hostile, tmp_path, ("pull", "acme/chat@production", target))
    check_ran(ran, f"{name}: pull", 0)
    if not hostile.read_only:
        assert (tmp_path / "dest/weights.bin").read_bytes() == b"1"


@pytest.mark.parametrize(
    "name", [name for name in ENVIRONMENTS if not ENVIRONMENTS[name].otherwise and not ENVIRONMENTS[name].read_only]
)
def test_a_version_can_be_published_and_promoted_everywhere(
    published: Path, files: Path, tmp_path: Path, name: str
) -> None:
    assert published.is_dir()
    hostile = ENVIRONMENTS[name]
    for arguments in (
        ("publish", "acme/new", str(files), "--label", "note=neu"),
        ("promote", "acme/new:1", "production"),
        ("doctor",),
        ("init", str(tmp_path / "another")),
    ):
        code = hostile.codes.get(arguments[0], 0)
        check_ran(run_in(hostile, tmp_path, arguments), f"{name}: {arguments[0]}", code)


def test_a_transfer_goes_on_by_itself_where_there_are_no_locks(published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    hostile = Hostile({"BUCKETRY_STATE": str(tmp_path / "state")}, preload=True)
    check_ran(run_in(hostile, tmp_path, ("pull", "acme/chat:1", str(tmp_path / "dest"), "--detach")), "detach", 0)
    check_ran(run_in(hostile, tmp_path, ("transfers", "attach", "1")), "attach", 0)
    assert (tmp_path / "dest/weights.bin").read_bytes() == b"1"


def test_an_answer_that_nobody_can_get_is_told_in_one_line(published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    ran = run_in(Hostile(redirections=">&-"), tmp_path, ("models",))
    assert ran.stderr.decode() == (
        "error[unavailable]: stdout is closed, so the answer cannot be written; do this: leave stdout open, or send it "
        "to /dev/null\n"
    )


def test_a_home_that_is_a_file_is_told_by_all_alike_with_what_to_set(
    published: Path, files: Path, tmp_path: Path
) -> None:
    assert published.is_dir()
    for arguments, variable in (
        (("pull", "acme/chat:1"), b"BUCKETRY_CACHE"),
        (("pull", "acme/chat:1", str(tmp_path / "dest"), "--detach"), b"BUCKETRY_STATE"),
        (("publish", "acme/chat", str(files), "--detach"), b"BUCKETRY_STATE"),
        (("transfers",), b"BUCKETRY_STATE"),
        (("transfers", "attach", "1"), b"BUCKETRY_STATE"),
    ):
        ran = run_in(ENVIRONMENTS["a home that is a file"], tmp_path, arguments)
        check_ran(ran, str(arguments), 6)
        assert variable in ran.stderr


def test_a_home_that_is_not_there_is_named_with_what_to_set(published: Path, tmp_path: Path) -> None:
    assert published.is_dir()
    hostile = ENVIRONMENTS["no user"]
    for arguments, variable in (
        (("pull", "acme/chat:1"), b"BUCKETRY_CACHE"),
        (("transfers",), b"BUCKETRY_STATE"),
        (("-r", "~/registry", "models"), b"HOME"),
        (("-r", "prod", "models"), b"./prod"),
    ):
        ran = run_in(hostile, tmp_path, arguments)
        check_ran(ran, str(arguments), 2)
        assert variable in ran.stderr
