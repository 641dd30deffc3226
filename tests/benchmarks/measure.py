"""How long does a command run, and what does it use, in several rounds beside its peers?"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LAUNCHER = Path(__file__).with_name("launch.py")
LONGEST_RUN_SECONDS = 900
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. The processor seconds and the peak are those of the command and of all that it waited for."""

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int
    output: str = ""

    @property
    def cpu_seconds(self) -> float:
        """User and system together."""
        return self.user_seconds + self.system_seconds


@dataclass(frozen=True, slots=True)
class Client:
    """One contender: how it is told to do the job into (or from) a path, and what it verifies meanwhile."""

    name: str
    command: Callable[[Path], Sequence[str]]
    verifies: str = "nothing"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender and all its runs."""

    name: str
    verifies: str
    samples: Sequence[Sample]

    @property
    def wall_seconds(self) -> float:
        """The median."""
        return median(sample.wall_seconds for sample in self.samples)

    @property
    def cpu_seconds(self) -> float:
        """The median of user and system together."""
        return median(sample.cpu_seconds for sample in self.samples)

    @property
    def peak_bytes(self) -> int:
        """The worst."""
        return max(sample.peak_bytes for sample in self.samples)

    @property
    def spread(self) -> float:
        """How far the slowest and the fastest run are apart, as a share of the median."""
        walls = [sample.wall_seconds for sample in self.samples]
        return (max(walls) - min(walls)) / self.wall_seconds


def run_once(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Sample:
    """Run a command to its end in `folder`; raise `RuntimeError` with its last words if it fails."""
    report, log = folder / "launch.json", folder / "launch.log"
    with log.open("wb") as errors:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(report), *command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        )
    output = done.stdout.decode(errors="replace")
    found = json.loads(report.read_text("ascii")) if done.returncode == 0 else {"exit_code": done.returncode}
    if found.pop("exit_code") != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(output + log.read_text(errors='replace'))[-2000:]}")
    return Sample(**found, output=output)


def race(
    clients: Sequence[Client],
    environment: Mapping[str, str],
    folder: Path,
    *,
    rounds: int,
    check: Callable[[Client, Path, Sample], None],
) -> list[Measured]:
    """Run all contenders in turn, round after round; each begins a round once before any begins twice.

    Each run gets a path where nothing is yet; it is checked after the clock has stopped, then removed. A contender
    that fails in the first round is named on stderr and left out; later it is an error.
    """
    samples: dict[str, list[Sample]] = {client.name: [] for client in clients}
    left = list(clients)
    for number in range(rounds):
        for client in left[number % max(1, len(left)) :] + left[: number % max(1, len(left))]:
            target = folder / f"target-{number}"
            try:
                sample = run_once(client.command(target), {**environment, **client.environment}, folder)
                check(client, target, sample)
            except RuntimeError as error:
                if number > 0 or client.name.startswith("bucketry"):
                    raise
                say(f"left out: {client.name}: {str(error)[-600:]}")
                left.remove(client)
                continue
            finally:
                remove(target)
            samples[client.name].append(sample)
    return [Measured(one.name, one.verifies, tuple(samples[one.name])) for one in clients if samples[one.name]]


def fastest(measured: Sequence[Measured], *, among: Callable[[Measured], bool]) -> Measured | None:
    """Return the contender with the best median, of those that count; None if there is none."""
    return min(filter(among, measured), key=lambda one: one.wall_seconds, default=None)


def is_peer(one: Measured) -> bool:
    """Whether it is somebody else's program."""
    return not one.name.startswith(("bucketry", "("))


def named(measured: Sequence[Measured], name: str) -> Measured:
    """Return the contender of that name."""
    return next(one for one in measured if one.name == name)


def say(text: str) -> None:
    """Tell whoever waits; figures alone go to stdout."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
