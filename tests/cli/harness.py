"""How do tests run the program: in this process with its output captured, or alone, on a pipe or on a terminal?"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bucketry.cli.program import run_command
from bucketry.interop.evidence import files as evidence_files
from bucketry.schema import arguments, foreign_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


PROGRAM = [sys.executable, "-c", "from bucketry.cli.main import run; run()"]
LONGEST_SECONDS = 60
NEEDS_HANGUPS = pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="nohup ignores hang-ups")
MOST_READS = 100_000


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the program left behind."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def errors(self) -> str:
        return self.stderr.decode()

    @property
    def document(self) -> Any:
        assert self.text.endswith("\n")
        assert self.text.count("\n") == 1
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Program:
    """The program in this process."""

    capture: pytest.CaptureFixture[bytes]

    def run(self, *arguments: str | Path) -> Ran:
        self.capture.readouterr()
        code = run_command([str(argument) for argument in arguments])
        sys.stdout.flush()
        captured = self.capture.readouterr()
        return Ran(code, captured.out, captured.err)

    def ok(self, *arguments: str | Path) -> Ran:
        ran = self.run(*arguments)
        assert ran.code == 0, (arguments, ran)
        return ran

    def json(self, *arguments: str | Path) -> Any:
        return self.ok(*arguments, "--json").document

    def fails(self, code: int, *arguments: str | Path) -> str:
        """Run what must fail, and return its one line; `--json` must say the same."""
        ran = self.run(*arguments)
        assert ran.code == code, (arguments, ran)
        assert ran.errors.count("\n") == 1
        assert ran.errors.startswith("error[")
        assert "Traceback" not in ran.errors
        again = self.run(*arguments, "--json")
        assert again.code == code
        assert again.stderr == b"", again
        error = again.document["error"]
        assert set(error) == {"code", "kind", "message", "advice"}
        assert error["code"] == code
        assert ran.errors.startswith(f"error[{error['kind']}]: ")
        return ran.errors


def run_alone(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Ran:
    """Run the program in a process of its own, with pipes."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        env=os.environ | dict(environment or {}),
        timeout=LONGEST_SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def run_in_terminal(*arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """Run the program on a terminal; return its exit code and everything that the terminal received."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"COLUMNS": str(columns), "LINES": "24"},
    )
    os.close(theirs)
    received = b""
    try:
        for _ in range(MOST_READS):
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            received += piece
        code = process.wait(LONGEST_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return code, received.decode().replace("\r\n", "\n")


def write_as_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything through that our own writers refuse in names, as a foreign writer of the bucket would."""
    for module in (arguments, foreign_values, evidence_files):
        monkeypatch.setattr(module, "fault_in_line", lambda *_: "")
