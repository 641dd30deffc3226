"""How many requests does a server that looks up its model make, as the store's own log counts them?"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import run_once
from benchmarks.peers import OURS
from benchmarks.pulls import SMALL_FILE_BYTES, SMALL_FILES
from benchmarks.site import REGISTRY_URL

if TYPE_CHECKING:
    from benchmarks.options import Options
    from benchmarks.site import Site

REFERENCE = "bench/small@production"
INTERVAL_SECONDS = 0.2
WATCH_SECONDS = 3.0
WATCH = """
import sys, bucketry
reader = bucketry.open_reader(sys.argv[1])
for move in reader.watch(sys.argv[2], interval_seconds=float(sys.argv[3])):
    print(move.version, flush=True)
"""


def measure_requests(site: Site, _: Options) -> RowResult:
    """Resolve an alias by the command line, and watch it for a while by the Python client."""
    site.small(SMALL_FILES, SMALL_FILE_BYTES)
    environment = site.environment(site.url())
    site.requests()
    run_once([str(OURS), "resolve", REFERENCE, "-r", REGISTRY_URL, "--json"], environment, site.work)
    resolved = short(site.requests())
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCH, REGISTRY_URL, REFERENCE, str(INTERVAL_SECONDS)],
        env=environment,
        stdout=subprocess.PIPE,
    )
    try:
        watcher.wait(WATCH_SECONDS)
        raise RuntimeError("the watch ended by itself")
    except subprocess.TimeoutExpired:
        pass
    finally:
        watcher.kill()
        watcher.communicate()
    looked = short(site.requests())
    first, polls = ", ".join(looked[:2]), looked[2:]  # the first look reads the alias and `registry.json`
    unlike = sorted({line for line in polls if not line.startswith("GET 304 ")})
    findings = [
        Finding(
            "resolve name@alias to its manifest",
            "2 GETs",
            f"{len(resolved)} requests: {', '.join(resolved)}",
            len(resolved) == 2 and all(line.startswith("GET 200 ") for line in resolved),
        ),
        Finding(
            "a poll of an alias",
            "1 conditional GET, answered 304",
            f"after the first ({first}), {len(polls)} polls, {len(polls) - len(unlike)} of them 304",
            bool(polls) and not unlike,
        ),
    ]
    return RowResult("Requests of a lookup", findings, facts={"resolve": resolved, "polls": len(polls), "else": unlike})


def short(requests: list[str]) -> list[str]:
    """Leave out of each request what all have in common, and shorten digests."""
    found = []
    for line in requests:
        method, status, path = line.split(" ", 2)
        folder, _, name = path.removeprefix("/bucket/registry/").rpartition("/")
        found.append(f"{method} {status} {folder}/{name[:12]}".replace(" /", " "))
    return found
