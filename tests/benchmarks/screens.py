"""Do the screens keep their budgets before 100,000 versions and 10,000 models?

On a pseudo-terminal of 120x40 in true colour, as a user has it: how long until rows stand there, how long from a key to
the first byte, how many bytes each key costs, and how much memory it takes. What the index alone needs is measured in a
process of its own. The registry lies in a folder; one start is also measured with a bucket that never answers.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import run_once, say
from benchmarks.screens_terminal import open_screens
from benchmarks.site import write_random

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.options import Options
    from benchmarks.screens_terminal import Cells, Screens
    from benchmarks.site import Site

STARTS, KEY_ROUNDS, ROUNDS_DURING_TRANSFER, CHANGES = 7, 24, 6, 6
QUIET_SECONDS = 0.25
"""Longer than the side panel waits for the cursor to rest, so that no key is answered by what an earlier one began."""
IDLE_SECONDS = 3.0
NEVER_ANSWERS = "s3://screens/registry"
BULK_BYTES, BULK_RATE = 256 * 1024 * 1024, "4"
PAGE_DOWN, PAGE_UP = b"\x1b[6~", b"\x1b[5~"
# What is pressed in each round, and the kind of key that it counts as; the two returns leave the prompts.
KEYS = (
    (b"j", "move"),
    (b"j", "move"),
    (b"k", "move"),
    (b"j", "move"),
    (PAGE_DOWN, "page"),
    (PAGE_DOWN, "page"),
    (b"k", "move"),
    (PAGE_UP, "page"),
    (b":", "prompt"),
    (b"\r", ""),
    (b"/", "prompt"),
    (b"\r", ""),
    (b">", "flash"),
)
SECONDS = {"start": 0.5, "p50": 0.010, "p95": 0.030, "transfer": 0.050, "filter": 0.050, "sort": 0.100, "card": 0.150}
BYTES = {"move": 600, "page": 8_500, "prompt": 500, "flash": 500}
MOST_RESIDENT_BYTES = 100_000_000


@dataclass
class Pressed:
    """What keys took until the first byte came, and how many bytes each kind caused until nothing came any more."""

    seconds: list[float] = field(default_factory=list)
    sizes: dict[str, list[int]] = field(default_factory=dict)

    @property
    def p50(self) -> float:
        """The median of the seconds."""
        return median(self.seconds)

    @property
    def p95(self) -> float:
        """What one key in twenty takes longer than."""
        return quantiles(self.seconds, n=20)[-1]


def measure_screens(site: Site, options: Options) -> RowResult:
    """Make the registry, then start, press, filter, sort and read in it."""
    place = _Place(site, options.screens_versions, options.screens_models)
    place.build()
    starts = _measure_starts(place)
    with open_screens(str(place.registry), place.environment) as screens:
        _open_versions(screens, place)
        screens.settle()
        pressed = _press_keys(screens, KEY_ROUNDS)
        filtered, ordered = _measure_filter(screens), _measure_sort(screens)
        resident = screens.resident_bytes()
        idle = screens.settle(IDLE_SECONDS)
        card = _measure_card(screens)
    during = _press_during_transfer(place)
    index = json.loads(place.run("measure", str(place.registry)))
    return RowResult(
        f"The screens before {place.versions:,} versions and {place.models:,} models",
        [
            *_start_findings(starts),
            *_key_findings(pressed, during, idle),
            _within("memory", MOST_RESIDENT_BYTES / 1e6, resident / 1e6, "MB resident, all lists shown once"),
            _slowest("filter, the index", SECONDS["filter"], index["filter"]),
            _slowest("sort, the index", SECONDS["sort"], index["sort"]),
            _milliseconds("filter, from the key to the changed screen", SECONDS["filter"], filtered),
            _milliseconds("sort, from the key to the changed screen", SECONDS["sort"], ordered),
            _milliseconds("a card of 40 KB becomes lines, in a thread", SECONDS["card"], index["card"] / 1000),
        ],
        facts={
            "seconds_to_rows": {name: [round(one, 3) for one in took] for name, (took, _) in starts.items()},
            "processor_seconds_to_rows": {name: round(median(cpu), 2) for name, (_, cpu) in starts.items()},
            "milliseconds_of_the_index": json.dumps(index),
            "milliseconds_from_key_to_card": round(card * 1000),
            "keys_timed": len(pressed.seconds),
            "keys_timed_during_a_transfer": len(during.seconds),
        },
    )


@dataclass
class _Place:
    """The registry, and what the programs see."""

    site: Site
    versions: int
    models: int

    @property
    def registry(self) -> Path:
        return self.site.work / "screens" / "registry"

    @property
    def environment(self) -> dict[str, str]:
        folder = self.site.work / "screens"
        return self.site.environment() | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "BUCKETRY_CACHE": str(folder / "cache"),
            "BUCKETRY_STATE": str(folder / "state"),
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }

    def build(self) -> None:
        """Make the registry and a file to transfer, and fill the index."""
        say(f"  making {self.versions:,} versions and {self.models:,} models ...")
        self.registry.parent.mkdir()
        self.run("build", str(self.registry), str(self.versions), str(self.models))

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run `screens_index` and return what it prints."""
        command = [sys.executable, "-m", "benchmarks.screens_index", *arguments]
        return run_once(command, environment or self.environment, self.site.work).output


def _measure_starts(place: _Place) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds and the processor seconds until rows stand there, of several starts."""
    found: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("the models", ":v of the large one", "the models, a bucket that never answers")
    }
    with _silence() as port:
        away = place.environment | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}
        place.run("lend", str(place.registry), NEVER_ANSWERS, environment=away)
        for number in range(STARTS + 1):
            for name, (seconds, cpu) in found.items():
                registry, environment = (NEVER_ANSWERS, away) if "never" in name else (str(place.registry), None)
                with open_screens(registry, environment or place.environment) as screens:
                    at = screens.wait_for(_has_models, "the models")
                    if ":v" in name:
                        at = _open_versions(screens, place)
                    if number:  # the first brings the files into memory
                        seconds.append(at - screens.began_at)
                        cpu.append(screens.cpu_seconds())
    return found


def _open_versions(screens: Screens, place: _Place) -> float:
    """Go to the versions of the large model as soon as the first rows are there; return when its rows were."""
    screens.wait_for(_has_models, "the models")
    os.write(screens.descriptor, b":v credit-risk\r")
    second = f"v{place.versions - 1}"
    return screens.wait_for(lambda cells: cells.shows(second), second)


def _press_keys(screens: Screens, rounds: int) -> Pressed:
    pressed = Pressed()
    for _ in range(rounds):
        for key, kind in KEYS:
            took = screens.press_timed(key)
            size = screens.settle(QUIET_SECONDS)
            if kind:
                pressed.seconds.append(took)
                pressed.sizes.setdefault(kind, []).append(size)
    return pressed


def _press_during_transfer(place: _Place) -> Pressed:
    """Press keys while the worker of the transfers pulls a large file slowly, and the top line says so."""
    folder, registry = place.site.work / "screens", str(place.registry)
    write_random(folder / "bulk.bin", BULK_BYTES)
    tell = place.site.tell
    tell("publish", "bench/bulk", str(folder / "bulk.bin"), registry=registry, environment=place.environment)
    order = ("pull", "bench/bulk:1", str(folder / "pulled"), "--detach", "--limit", BULK_RATE)
    job = tell(*order, registry=registry, environment=place.environment)["transfer"]
    worker = tell("transfers", registry=registry, environment=place.environment)["worker_pid"]
    try:
        with open_screens(registry, place.environment) as screens:
            _open_versions(screens, place)
            screens.wait_for(lambda cells: cells.shows("1 transfer"), "the transfer")
            pressed = _press_keys(screens, ROUNDS_DURING_TRANSFER)
            if not screens.cells.shows("1 transfer"):
                raise RuntimeError("the transfer ended before the keys were pressed")
        tell("transfers", "cancel", str(job), registry=registry, environment=place.environment)
    finally:
        os.kill(int(str(worker)), signal.SIGTERM)
    return pressed


def _measure_filter(screens: Screens) -> float:
    """Return the median of the seconds from a key in the filter to another count of rows."""
    screens.press_timed(b"/")
    screens.settle(QUIET_SECONDS)
    took = []
    for key in (b"9", b"8", b"\x7f", b"7", b"\x7f", b"6")[:CHANGES]:
        before = _counted(screens.cells)
        took.append(screens.press(key, lambda cells, before=before: _counted(cells) != before, "another count"))  # type: ignore[misc]
        screens.settle(QUIET_SECONDS)
    screens.press(b"\x1b", lambda cells: _counted(cells)[:1] == _counted(cells)[1:], "all rows again")
    screens.settle(QUIET_SECONDS)
    return median(took)


def _measure_sort(screens: Screens) -> float:
    """Return the median of the seconds from `s` to the other order, by a metric."""
    for _ in range(len(screens.cells.lines[1])):
        if screens.cells.shows("[AUC]", line=1):
            break
        screens.press_timed(b">")
        screens.settle(QUIET_SECONDS)
    took = []
    for _ in range(CHANGES):
        before = screens.cells.lines[1].copy()  # the titles say how it is sorted, and come with the rows
        took.append(screens.press(b"s", lambda cells, before=before: cells.lines[1] != before, "another order"))  # type: ignore[misc]
        screens.settle(QUIET_SECONDS)
    return median(took)


def _measure_card(screens: Screens) -> float:
    """Return the seconds from the key of the card's tab to its first lines."""
    screens.press(b"\r", lambda cells: cells.shows("Overview"), "a version")
    screens.settle()
    return screens.press(b"5", lambda cells: cells.shows("Section 1"), "the card")


def _start_findings(starts: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> list[Finding]:
    return [_milliseconds(f"rows: {name}", SECONDS["start"], median(took)) for name, (took, _) in starts.items()]


def _key_findings(pressed: Pressed, during: Pressed, idle: int) -> list[Finding]:
    return [
        _milliseconds("key to first byte, p50", SECONDS["p50"], pressed.p50),
        _milliseconds("key to first byte, p95", SECONDS["p95"], pressed.p95),
        _milliseconds("key to first byte during a transfer, p95", SECONDS["transfer"], during.p95),
        *(
            _within(f"bytes of a {kind}, with what follows beside the list", most, median(pressed.sizes[kind]), "bytes")
            for kind, most in BYTES.items()
        ),
        Finding(f"bytes while nothing is done, {IDLE_SECONDS:.0f} s", "none", str(idle), idle == 0),
    ]


def _milliseconds(what: str, most_seconds: float, seconds: float) -> Finding:
    return Finding(what, f"at most {most_seconds * 1000:.0f} ms", f"{seconds * 1000:.1f} ms", seconds <= most_seconds)


def _within(what: str, most: float, measured: float, unit: str) -> Finding:
    return Finding(what, f"at most {most:,.0f} {unit}", f"{measured:,.0f} {unit}", measured <= most)


def _slowest(what: str, most_seconds: float, found: Mapping[str, float]) -> Finding:
    worst = max(found, key=lambda name: found[name])
    measured = f"{found[worst]:.1f} ms ({worst}); median {median(found.values()):.1f} ms"
    return Finding(
        f"{what}, slowest of {len(found)}",
        f"at most {most_seconds * 1000:.0f} ms",
        measured,
        found[worst] <= most_seconds * 1000,
    )


def _has_models(cells: Cells) -> bool:
    return cells.shows("credit-risk") and cells.shows("team-00/")


def _counted(cells: Cells) -> list[str]:
    """Return how many rows are shown, and of how many, as the top line says it."""
    found = re.findall(r"([0-9,]+)/([0-9,]+)", "".join(cells.lines[0]))
    return list(found[-1]) if found else []


@contextmanager
def _silence() -> Iterator[int]:
    """Listen on a port and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])
