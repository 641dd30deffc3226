"""How many commits a second do eight writers get through on one model, beside a bare compare-and-swap loop?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.findings import Finding, RowResult
from benchmarks.publishes import environment_of, open_registry_at
from bucketry.registry.core.config import RegistryProfile
from bucketry.registry.core.opening import open_session, open_store
from bucketry.registry.core.registers import load_head
from bucketry.schema import keys
from bucketry.schema.names import parse_model_name
from bucketry.store.contract import IfAbsent
from servers.weed import run_weed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.options import Options
    from benchmarks.site import Site

WRITERS = 8
START_SECONDS = 0.2
LONGEST_RUN_SECONDS = 300
MODEL = "raced"


@dataclass(frozen=True, slots=True)
class Race:
    """Where the writers meet, and how often each commits."""

    store: str
    registry: str
    commits_each: int


def measure_commits(site: Site, options: Options) -> RowResult:
    """In a folder and on SeaweedFS, commits and bare loops in turn."""
    findings, facts = [], {}
    (site.work / "one.bin").write_bytes(b"one small file")
    folder = site.work / "commits"
    site.tell("init", str(folder))
    race = Race("a folder", str(folder), 50)
    finding, facts["folder"] = race_writers(site, race, site.environment(), options.rounds)
    findings.append(finding)
    with run_weed(site.work / "weed-commits") as server:
        environment = environment_of(site, server)
        registry = open_registry_at(site, server)
        race = Race("SeaweedFS", registry, 12)
        finding, facts["SeaweedFS"] = race_writers(site, race, environment, options.rounds)
        findings.append(finding)
    shutil.rmtree(site.work / "weed-commits")
    return RowResult("Commits to one model by eight writers at once", findings, facts=facts)


def race_writers(site: Site, race: Race, environment: Mapping[str, str], rounds: int) -> tuple[Finding, dict[str, Any]]:
    """Return how the rates compare on one store, and that no commit was lost."""
    site.tell("publish", MODEL, str(site.work / "one.bin"), registry=race.registry, environment=environment)
    rates: dict[str, list[float]] = {"commit": [], "bare": []}
    total, lost, refused_but_kept = WRITERS * race.commits_each, 0, 0
    for number in range(rounds):
        key = f"{keys.PROBE}benchmark-{number}.json"
        with patch.dict(os.environ, environment):
            before, size_bytes = generation_and_size(race.registry)
            make_counter(race.registry, key, size_bytes)
        rates["commit"].append(rate_of(site, race, environment, "commit", MODEL))
        rates["bare"].append(rate_of(site, race, environment, "bare", key))
        with patch.dict(os.environ, environment):
            lost += total - (generation_and_size(race.registry)[0] - before)
            extra = counted(race.registry, key) - total
        if extra < 0:
            raise RuntimeError(f"{race.store}: {-extra} of {total} acknowledged bare writes were lost")
        # A refused write may have happened all the same. The commit protocol reads back; a bare loop does not.
        refused_but_kept += extra
    ours, theirs = median(rates["commit"]), median(rates["bare"])
    finding = Finding(
        f"commits to one model by {WRITERS} writers at once, {race.store}",
        "none lost; at least 0.8 x the rate of a bare CAS loop on that store",
        f"{lost} lost; {ours / theirs:.2f} x ({ours:.0f} a second; bare: {theirs:.0f})",
        lost == 0 and ours >= 0.8 * theirs,
    )
    return finding, {
        "commits a second": [round(rate, 1) for rate in rates["commit"]],
        "bare writes a second": [round(rate, 1) for rate in rates["bare"]],
        "bare writes refused yet kept": refused_but_kept,
        "by each writer": race.commits_each,
    }


def rate_of(site: Site, race: Race, environment: Mapping[str, str], kind: str, key: str) -> float:
    """Start all writers, let them begin at one moment, and return how many commits they made a second."""
    script = Path(__file__).with_name("commit_worker.py")
    command = [sys.executable, str(script), race.registry, kind, key, str(race.commits_each)]
    with ExitStack() as stack:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        workers = [
            stack.enter_context(subprocess.Popen(command, env=dict(environment), cwd=site.work, text=True, **pipes))
            for _ in range(WRITERS)
        ]
        for worker in workers:
            if worker.stdout is None or worker.stdout.readline() != "ready\n":
                raise RuntimeError(f"a writer failed: {worker.communicate()[1][-1000:]}")
        start_at = time.monotonic() + START_SECONDS
        done_at: list[float] = []
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.write(f"{start_at}\n")
                worker.stdin.flush()
        for worker in workers:
            output, errors = worker.communicate(timeout=LONGEST_RUN_SECONDS)
            if worker.returncode != 0:
                raise RuntimeError(f"a writer failed: {errors[-1000:]}")
            done_at.append(json.loads(output)["done_at"])
    return WRITERS * race.commits_each / (max(done_at) - start_at)


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
