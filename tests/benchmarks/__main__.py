"""Which rows are measured, how large and how often, and where do the figures go? Run by `infra/benchmark.sh`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.again import measure_delta_pull, measure_memory, measure_resume
from benchmarks.commits import measure_commits
from benchmarks.counted import measure_requests
from benchmarks.findings import document_of
from benchmarks.measure import say
from benchmarks.mirrors import measure_mirror, measure_unchanged_mirror
from benchmarks.options import GIBIBYTE, Options
from benchmarks.peers import TOP, versions
from benchmarks.publishes import measure_delta_publish, measure_publish
from benchmarks.pulls import measure_pull, measure_shaped, measure_small, measure_tls
from benchmarks.report import describe_machine, iter_lines, merge, write_docs
from benchmarks.screens import measure_screens
from benchmarks.site import open_site
from benchmarks.startup import measure_startup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.findings import RowResult
    from benchmarks.site import Site

ROWS: dict[str, Callable[[Site, Options], RowResult]] = {
    "pull": measure_pull,
    "tls": measure_tls,
    "shaped": measure_shaped,
    "small": measure_small,
    "delta-pull": measure_delta_pull,
    "resume": measure_resume,
    "memory": measure_memory,
    "publish": measure_publish,
    "delta-publish": measure_delta_publish,
    "mirror": measure_mirror,
    "mirror-unchanged": measure_unchanged_mirror,
    "requests": measure_requests,
    "commits": measure_commits,
    "startup": measure_startup,
    "screens": measure_screens,
}
LEAST_SCREENS = 1_000
"""With fewer, what is looked for may stand there already."""
PAGE = TOP / "docs" / "performance.md"
FIGURES = TOP / "build" / "benchmark.json"


def main(arguments: Sequence[str]) -> int:
    """Measure the rows, print them, keep them; return 1 if one could not be measured."""
    given = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped and memory is freed
    options = Options(
        rounds=given.rounds,
        size_bytes=int(given.size_gb * GIBIBYTE),
        huge_bytes=int(given.huge_gb * GIBIBYTE),
        shaped_bytes=int(given.shaped_gb * GIBIBYTE),
        memory_bytes=int(given.memory_gb * GIBIBYTE),
        screens_versions=given.screens_versions,
        screens_models=given.screens_models,
    )
    document: dict[str, Any] = {"machine": describe_machine(), "versions": versions(), "rows": {}}
    failed = []
    with open_site(given.work, options.size_bytes, options.huge_bytes) as site:
        for name in given.rows or ROWS:
            began_at = time.monotonic()
            say(f"\nmeasuring {name} ...")
            try:
                result = ROWS[name](site, options)
            except (RuntimeError, OSError) as error:
                say(f"{name} could not be measured: {error}")
                failed.append(name)
                continue
            row = document_of(result, size_bytes=options.size_bytes) | {
                "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "rounds": options.rounds,
                "seconds": round(time.monotonic() - began_at, 1),
            }
            document["rows"][name] = row
            keep(given.json, document)
            sys.stdout.write("\n".join([*iter_lines(row), ""]))
            sys.stdout.flush()
    say(f"\nall runs are in {given.json}")
    if given.write_docs:
        write_docs(PAGE, keep(given.json, document), list(ROWS))
    if failed:
        say(f"not measured: {', '.join(failed)}")
    return 1 if failed else 0


def keep(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Write what is known by now, with the rows of earlier runs, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    merged = merge(path, document)
    path.write_text(json.dumps(merged, indent=1) + "\n")
    return merged


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="sh infra/benchmark.sh", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure: {', '.join(ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs (default: 3)")
    parser.add_argument("--size-gb", type=float, default=1.0, help="the large file, in GiB (default: 1)")
    parser.add_argument("--huge-gb", type=float, default=4.0, help="the larger one of pull and tls (default: 4)")
    parser.add_argument("--shaped-gb", type=float, default=4.0, help="the file for the slow link, sparse (default: 4)")
    parser.add_argument("--memory-gb", type=float, default=20.0, help="the largest file, sparse (default: 20)")
    parser.add_argument("--screens-versions", type=int, default=100_000, help="of one model (default: 100000)")
    parser.add_argument("--screens-models", type=int, default=10_000, help="in all (default: 10000)")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="where to work (default: in memory)")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go (default: build/)")
    parser.add_argument("--write-docs", action="store_true", help="put the figures into docs/performance.md")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.rows if name not in ROWS]
    sizes = (given.size_gb, given.huge_gb, given.shaped_gb, given.memory_gb)
    if unknown or given.rounds < 1 or min(sizes) <= 0:
        parser.error(f"there is no row {unknown[0]}" if unknown else "sizes and rounds are above 0")
    if min(given.screens_versions, given.screens_models) < LEAST_SCREENS:
        parser.error(f"the screens are measured with {LEAST_SCREENS:,} versions and models or more")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
