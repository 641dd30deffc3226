"""Does a guide still say what happens? Its commands are run, in order, in one shell, and what they print is compared.

A guide is Markdown. In a `console` block a line that begins with `$ ` is a command, lines after it with `> ` belong to
it, and the rest is what it printed. A block whose first line is `# FILE` in any other language is that file.

    python -m story.guide docs/handoff.md     (in tests/) writes what the commands print now into the guide
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOP = Path(__file__).parents[2]
HOME = "/home/you/handoff"
"""What the guide calls the folder in which it was run."""
END = "--- end of this command ---"
MOST_LINES = 2_000

_FENCE = "```"
_MASKS = (
    (
        re.compile(r"^(note: against production \(version \d+\)): .*"),
        r"\1",
    ),  # latencies differ, and so what they are worth
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"SHA256:[A-Za-z0-9+/]{43}"), "FINGERPRINT"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"(?<![\w.])\d+(\.\d+)? ?(ms|s|m)\b"), "SPAN"),
    (re.compile(r"\bjust now\b|\bnow\b(?= )"), "SPAN"),
    (re.compile(r"(\w+_ms\b).*"), r"\1 ..."),
    (re.compile(r"\s+"), " "),
)


@dataclass(slots=True)
class Step:
    """A command of the guide, or a file that it shows, and the lines of the guide that it stands on."""

    text: str
    first: int
    file: str = ""
    printed: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The index of the line after what was printed."""
        return self.first + (0 if self.file else self.text.count("\n") + 1 + len(self.printed))


def read_steps(lines: Sequence[str]) -> list[Step]:
    """Return the commands and files of a guide, in its order."""
    steps: list[Step] = []
    language = ""
    for number, line in enumerate(lines):
        if line.startswith(_FENCE):
            language = "" if language else line.removeprefix(_FENCE) or "text"
            opened = number
        elif language == "console":
            if line.startswith("$ "):
                steps.append(Step(line[2:], number))
            elif line.startswith("> ") or line == ">":
                steps[-1].text += "\n" + line[2:]
            else:
                steps[-1].printed.append(line)
        elif language and number == opened + 1 and re.fullmatch(r"# [\w./-]+", line):
            steps.append(Step("", number, file=line[2:]))
        elif language and steps and steps[-1].file and steps[-1].first > opened:
            steps[-1].text += line + "\n"
    return steps


def run_steps(steps: Sequence[Step], folder: Path) -> Iterator[tuple[Step, list[str]]]:
    """Run the guide in a folder, with nobody's own settings; yield each command with the lines that it printed."""
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=_environment(folder),
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        for step in steps:
            if step.file:
                (folder / step.file).write_text(step.text)
                continue
            shell.stdin.write(f"{{ {step.text}\n}} </dev/null\necho; echo '{END}'\n")
            shell.stdin.flush()
            printed = []
            for _ in range(MOST_LINES):
                line = shell.stdout.readline()
                if not line or line.rstrip("\n") == END:
                    break
                printed.append(line.rstrip("\n").replace(str(folder), HOME))
            yield step, printed[:-1] if printed and not printed[-1] else printed
        shell.stdin.close()


def masked(lines: Sequence[str]) -> list[str]:
    """Return the lines without what differs from run to run: times, digests, keys, the width of columns."""
    found = []
    for line in lines:
        text = line
        for pattern, replacement in _MASKS:
            text = pattern.sub(replacement, text)
        found.append(text.strip())
    return [line for line in found if line]


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a new machine, on whose PATH are our program and a Python that knows it."""
    programs = folder / ".programs"
    programs.mkdir()
    ours = f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {str(TOP / 'src')!r})\n"
    scripts = {
        "bucketry": f"{ours}from bucketry.cli.main import run\nrun()\n",
        "python": f"{ours}import runpy\n"
        "sys.argv = [word for word in sys.argv[1:] if word != '-I']\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n",
    }
    for name, script in scripts.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    system = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": f"{programs}:{system}", "HOME": str(folder), "LC_ALL": "C.UTF-8", "BUCKETRY_SOURCE": str(TOP)}


def record(path: Path) -> None:
    """Write what the commands print now into the guide."""
    lines = path.read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder:
        for step, printed in reversed(list(run_steps(read_steps(lines), Path(folder).resolve()))):
            begin = step.last - len(step.printed)
            lines[begin : step.last] = printed
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
