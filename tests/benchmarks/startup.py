"""How long is it from typing a command to its first useful work?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import Client, named, race, run_once
from benchmarks.peers import OURS
from benchmarks.site import REGISTRY_URL

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Sample
    from benchmarks.options import Options
    from benchmarks.site import Site

ROUNDS = 11
EMPTY, IMPORT, HELP, RESOLVE = (
    "(python -c pass)",
    "bucketry: import bucketry",
    "bucketry --help",
    "bucketry resolve, folder",
)
ON_S3 = "bucketry resolve, S3"
HEAVY = ("boto3", "botocore", "textual", "rich", "numpy", "cryptography")
LOOK = f"import sys, bucketry; print(*[name for name in {HEAVY!r} if name in sys.modules])"


def measure_startup(site: Site, _: Options) -> RowResult:
    """An empty interpreter, the import, the help, and one whole lookup in a folder."""
    (site.work / "one.bin").write_bytes(b"one small file")
    site.publish("tiny", site.work / "one.bin")
    clients = [
        Client(EMPTY, lambda _: [sys.executable, "-c", "pass"]),
        Client(IMPORT, lambda _: [sys.executable, "-c", "import bucketry"]),
        Client(HELP, lambda _: [str(OURS), "--help"]),
        Client(RESOLVE, lambda _: [str(OURS), "resolve", "bench/tiny@production", "-r", str(site.registry), "--json"]),
        Client(
            ON_S3,
            lambda _: [str(OURS), "resolve", "bench/tiny@production", "-r", REGISTRY_URL, "--json"],
            environment=site.environment(site.url()),
        ),
    ]

    def check(_: Client, __: Path, ___: Sample) -> None:
        """Nothing is left behind that could be wrong."""

    measured = race(clients, site.environment(), site.work, rounds=ROUNDS, check=check)
    heavy = run_once([sys.executable, "-c", LOOK], site.environment(), site.work).output.split()
    seconds = {name: named(measured, name).wall_seconds for name in (EMPTY, IMPORT, HELP, RESOLVE)}
    importing = seconds[IMPORT] - seconds[EMPTY]
    findings = [
        Finding(
            "import bucketry",
            "at most 60 ms over an empty interpreter, and none of the heavy libraries",
            f"{importing * 1000:.0f} ms; heavy: {', '.join(heavy) or 'none'}",
            importing <= 0.060 and not heavy,
        ),
        Finding(HELP, "at most 120 ms", f"{seconds[HELP] * 1000:.0f} ms", seconds[HELP] <= 0.120),
        Finding(
            "open a folder registry and resolve",
            "at most 200 ms, whole process",
            f"{seconds[RESOLVE] * 1000:.0f} ms",
            seconds[RESOLVE] <= 0.200,
        ),
    ]
    return RowResult("From typing to working", findings, measured)
