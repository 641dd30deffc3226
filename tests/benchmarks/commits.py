"""How many commits a second do eight writers get through on one model, beside a bare compare-and-swap loop?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest.mock import patch

from benchmarks.findings import Finding, RowResult
from benchmarks.publishes import environment_of, open_registry_at
from bucketry.registry.config import RegistryProfile
from bucketry.registry.opening import open_session, open_store
from bucketry.registry.registers import load_head
from bucketry.schema import keys
from bucketry.schema.names import parse_model_name
from bucketry.store.interface import IfAbsent
from servers.weed import run_weed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.options import Options
    from benchmarks.site import Site

WRITERS = 8
COMMITS_EACH = 25
START_SECONDS = 4.0
LONGEST_RUN_SECONDS = 300
MODEL = "raced"


def measure_commits(site: Site, options: Options) -> RowResult:
    """In a folder and on SeaweedFS, commits and bare loops in turn."""
    findings, facts = [], {}
    (site.work / "one.bin").write_bytes(b"one small file")
    folder = site.work / "commits"
    site.tell("init", str(folder))
    finding, facts["folder"] = race_writers(site, "a folder", str(folder), site.environment(), options.rounds)
    findings.append(finding)
    with run_weed(site.work / "weed-commits") as server:
        environment = environment_of(site, server)
        registry = open_registry_at(site, server)
        finding, facts["seaweedfs"] = race_writers(site, "SeaweedFS", registry, environment, options.rounds)
        findings.append(finding)
    shutil.rmtree(site.work / "weed-commits")
    return RowResult("Commits to one model by eight writers at once", findings, facts=facts)


def race_writers(
    site: Site, name: str, registry: str, environment: Mapping[str, str], rounds: int
) -> tuple[Finding, dict[str, object]]:
    """Return how the rates compare on one store, and that no commit was lost."""
    site.tell("publish", MODEL, str(site.work / "one.bin"), registry=registry, environment=environment)
    rates: dict[str, list[float]] = {"commit": [], "bare": []}
    lost = 0
    for number in range(rounds):
        key = f"{keys.PROBE}benchmark-{number}.json"
        with patch.dict(os.environ, environment):
            before, size_bytes = generation_and_size(registry)
            make_counter(registry, key, size_bytes)
        rates["commit"].append(rate_of(site, environment, registry, "commit", MODEL))
        rates["bare"].append(rate_of(site, environment, registry, "bare", key))
        with patch.dict(os.environ, environment):
            lost += WRITERS * COMMITS_EACH - (generation_and_size(registry)[0] - before)
            made = counted(registry, key)
            if made != WRITERS * COMMITS_EACH:
                raise RuntimeError(f"{name}: of {WRITERS * COMMITS_EACH} bare writes {made} were kept")
    ours, theirs = median(rates["commit"]), median(rates["bare"])
    finding = Finding(
        f"commits to one model by {WRITERS} writers at once, {name}",
        "none lost; at least 0.8 x the rate of a bare CAS loop on that store",
        f"{lost} lost; {ours / theirs:.2f} x ({ours:.0f} a second; bare: {theirs:.0f})",
        lost == 0 and ours >= 0.8 * theirs,
    )
    rounded = {kind: [round(rate, 1) for rate in found] for kind, found in rates.items()}
    return finding, {"per_second": rounded, "writers": WRITERS, "commits_each": COMMITS_EACH}


def rate_of(site: Site, environment: Mapping[str, str], registry: str, kind: str, key: str) -> float:
    """Start all writers, let them begin at one moment, and return how many commits they made a second."""
    start_at = time.monotonic() + START_SECONDS
    script = Path(__file__).with_name("commit_worker.py")
    command = [sys.executable, str(script), registry, kind, key, str(COMMITS_EACH), str(start_at)]
    workers = [
        subprocess.Popen(
            command, env=dict(environment), cwd=site.work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(WRITERS)
    ]
    done_at: list[float] = []
    for worker in workers:
        output, errors = worker.communicate(timeout=LONGEST_RUN_SECONDS)
        if worker.returncode != 0:
            raise RuntimeError(f"a writer failed: {errors[-1000:]}")
        done_at.append(json.loads(output)["done_at"])
    return WRITERS * COMMITS_EACH / (max(done_at) - start_at)


def generation_and_size(registry: str) -> tuple[int, int]:
    """Return how many commits the head has seen, and how large it is."""
    session = open_session(registry)
    head = load_head(session, parse_model_name(MODEL)).state
    size_bytes = len(session.store.get(keys.head(parse_model_name(MODEL))).body)
    session.store.close()
    if head is None:
        raise RuntimeError("the model is gone")
    return head.generation, size_bytes


def make_counter(registry: str, key: str, size_bytes: int) -> None:
    """Put an object of this size that counts."""
    store = open_store(RegistryProfile(registry))
    store.put(key, json.dumps({"count": 0, "filling": "x" * size_bytes}).encode(), IfAbsent())
    store.close()


def counted(registry: str, key: str) -> int:
    """Return where the counter is."""
    store = open_store(RegistryProfile(registry))
    found = json.loads(store.get(key).body)
    store.close()
    return int(found["count"])
