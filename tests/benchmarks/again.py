"""What does a pull cost that need not fetch everything, or that fetches more than memory holds?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import race, remove, run_once
from benchmarks.peers import bucketry_pull
from benchmarks.pulls import count_fetched, mebibytes
from benchmarks.site import BLOCK_BYTES, REGISTRY_URL, Site
from benchmarks.sparse import make_sparse, punching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Sample
    from benchmarks.options import Options

MOMENTS = (0.3, 0.5, 0.7)
"""How much of the file has been written when the pull is killed."""
ROOM_BYTES = 1024**3
LONGEST_WAIT_SECONDS = 120
POLL_SECONDS = 0.002
CONNECTIONS = 16
MOST_MEMORY_BYTES = 100_000_000
OLD, NEW = (bucketry_pull(REGISTRY_URL, f"bench/large:{version}", "sha256") for version in (1, 2))


def measure_delta_pull(site: Site, options: Options) -> RowResult:
    """Version 2 over a local version 1 that shares nine chunks in ten with it."""
    old, new = site.large(1), site.large(2)
    environment, target = site.environment(site.url()), site.work / "delta"
    samples: list[Sample] = []
    fetched: list[int] = []
    for _ in range(options.rounds):
        run_once(OLD.command(target), environment, site.work)
        sample = run_once(NEW.command(target), environment, site.work)
        fetched.append(json.loads(sample.output)["fetched_bytes"])
        samples.append(sample)
        if (target / "model.bin").stat().st_size != new.size_bytes:
            raise RuntimeError("the pull brought another file")
        remove(target)
    share = max(fetched) / new.size_bytes
    finding = Finding(
        f"pull of version 2, of which {1 - changed_share(old.size_bytes):.0%} lies here as version 1",
        "moves at most 12 % of the bytes",
        f"{share:.1%} ({mebibytes(max(fetched))} of {mebibytes(new.size_bytes)})",
        share <= 0.12,
    )
    facts = {
        "fetched_bytes": fetched,
        "wall_seconds": [round(one.wall_seconds, 3) for one in samples],
        "cpu_seconds": [round(one.cpu_seconds, 3) for one in samples],
    }
    return RowResult("Pull of a version that is mostly here", [finding], facts=facts)


def changed_share(size_bytes: int) -> float:
    """Return which share of the chunks version 2 changes."""
    chunks = -(-size_bytes // BLOCK_BYTES)
    return len(range(9, chunks, 10)) / chunks


def measure_resume(site: Site, _: Options) -> RowResult:
    """Kill a pull with SIGKILL in the middle and pull again; count what comes twice."""
    blob, environment = site.large(1), site.environment(site.url())
    again: list[int] = []
    for moment in MOMENTS:
        target = site.work / "resume"
        written = kill_when_written(site, target, environment, int(moment * blob.size_bytes))
        sample = run_once(OLD.command(target), environment, site.work)
        fetched = json.loads(sample.output)["fetched_bytes"]
        again.append(written + fetched - blob.size_bytes)
        if (target / "model.bin").stat().st_size != blob.size_bytes:
            raise RuntimeError("the second pull brought another file")
        remove(target)
    finding = Finding(
        "resume after kill -9",
        "at most one chunk for each connection is fetched again",
        f"{max(again) / BLOCK_BYTES:.1f} chunks at worst, of {CONNECTIONS} allowed",
        max(again) <= CONNECTIONS * BLOCK_BYTES,
    )
    facts = {
        "bytes_fetched_again": dict(zip(map(str, MOMENTS), again, strict=True)),
        "chunk_bytes": BLOCK_BYTES,
        "connections": CONNECTIONS,
    }
    return RowResult("Resume after kill -9", [finding], facts=facts)


def kill_when_written(site: Site, target: Path, environment: dict[str, str], enough_bytes: int) -> int:
    """Begin a pull, kill it when it has written so much, and return how much that was by the kernel's own count."""
    command = [
        *OLD.command(target),
        "--connections",
        str(CONNECTIONS),
    ]
    with (site.work / "killed.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for _ in range(int(LONGEST_WAIT_SECONDS / POLL_SECONDS)):
            if written_bytes(process.pid) >= enough_bytes:
                break
            if process.poll() is not None:
                raise RuntimeError(f"the pull ended first: {(site.work / 'killed.log').read_text()[-1000:]}")
            time.sleep(POLL_SECONDS)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.05)  # all threads stand still before their writes are counted
        return written_bytes(process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def written_bytes(pid: int) -> int:
    """Return how many bytes a process has handed to write calls; its journal's few among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    return 0


def measure_memory(site: Site, options: Options) -> RowResult:
    """Pull a file that neither memory nor the file system could hold."""
    blob = make_sparse(site, "sparse", options.memory_bytes)
    ours = [bucketry_pull(REGISTRY_URL, "bench/sparse:1", verify) for verify in ("sha256", "fast")]
    with roomy_folder(site.work, blob.size_bytes) as folder, punching(folder, "target-"):
        measured = race(ours, site.environment(site.url()), folder, rounds=1, check=count_fetched(blob.size_bytes))
    shutil.rmtree(site.blob_folder("sparse"))
    peak_bytes = max(one.peak_bytes for one in measured)
    finding = Finding(
        f"memory while pulling {blob.size_bytes / 1024**3:.0f} GiB",
        "at most 100 MB, whatever the size",
        f"{peak_bytes / 1e6:.0f} MB",
        peak_bytes <= MOST_MEMORY_BYTES,
    )
    return RowResult("Memory while pulling more than memory holds", [finding], measured)


@contextmanager
def roomy_folder(first: Path, size_bytes: int) -> Iterator[Path]:
    """Yield a folder where so much is free, for a pull looks before it begins: in memory if it can be, else on disk."""
    for parent in (first, Path(tempfile.gettempdir()), Path("/var/tmp")):
        if shutil.disk_usage(parent).free > size_bytes + ROOM_BYTES:
            with tempfile.TemporaryDirectory(prefix="bucketry-benchmark-", dir=parent) as folder:
                yield Path(folder)
            return
    raise RuntimeError(f"nowhere are {size_bytes:,} bytes free: use --memory-gb")
