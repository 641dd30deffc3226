"""How fast does a version become safe in a real S3 store, beside tools that only copy?"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import Client, Measured, Sample, fastest, is_peer, named, race, run_once
from benchmarks.peers import OURS, putters
from benchmarks.pulls import mebibytes
from servers.weed import run_weed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.options import Options
    from benchmarks.site import Site
    from servers.process import S3Server

NAME = "bucketry, SHA-256 and XXH3"


def measure_publish(site: Site, options: Options) -> RowResult:
    """One large file into SeaweedFS: a fresh store for each round, since it frees nothing that was deleted.

    The fuller the store, the slower it is, so there are as many rounds as it takes for each to have had each turn.
    """
    source = source_of(site, 1)
    rounds: dict[str, list[Sample]] = {}
    verifies: dict[str, str] = {}
    number, last = 0, options.rounds
    while number < last:
        with run_weed(site.work / f"weed-{number}") as server:
            environment = environment_of(site, server)
            registry = open_registry_at(site, server)
            clients = [publisher(registry, source), *putters(source, server.endpoint_url, server.bucket)]
            turned = clients[number % len(clients) :] + clients[: number % len(clients)]
            for one in race(turned, environment, site.work, rounds=1, check=check_uploaded(source)):
                rounds.setdefault(one.name, []).extend(one.samples)
                verifies[one.name] = one.verifies
        remove_store(site, number)
        number, last = number + 1, math.ceil(options.rounds / len(clients)) * len(clients)
    measured = [Measured(name, verifies[name], tuple(samples)) for name, samples in rounds.items()]
    measured.sort(key=is_peer)
    peer = fastest(measured, among=is_peer)
    findings = []
    if peer is not None:
        share = peer.wall_seconds / named(measured, NAME).wall_seconds
        findings.append(
            Finding(
                "publish to SeaweedFS",
                "at least the fastest of s5cmd and rclone, though it also hashes and registers",
                f"{share:.2f} x {peer.name}",
                share >= 1.0,
            )
        )
    return RowResult("Publish of one large file to SeaweedFS", findings, measured)


def measure_delta_publish(site: Site, _: Options) -> RowResult:
    """A version of which nine chunks in ten are those of the version before."""
    first, second = source_of(site, 1), source_of(site, 2)
    with run_weed(site.work / "weed-delta") as server:
        environment = environment_of(site, server)
        registry = open_registry_at(site, server)
        for source in (first, second):
            sample = run_once(publisher(registry, source).command(Path("large")), environment, site.work)
    remove_store(site, "delta")
    told = json.loads(sample.output)
    share = told["uploaded_bytes"] / told["size_bytes"]
    finding = Finding(
        "publish of version 2, one chunk in ten changed",
        "uploads at most 12 % of the bytes",
        f"{share:.1%} ({mebibytes(told['uploaded_bytes'])} of {mebibytes(told['size_bytes'])})",
        share <= 0.12,
    )
    facts = {
        "uploaded_bytes": told["uploaded_bytes"],
        "wall_seconds": round(sample.wall_seconds, 3),
        "cpu_seconds": round(sample.cpu_seconds, 3),
    }
    return RowResult("Publish of a version that is mostly there", [finding], facts=facts)


def publisher(registry: str, source: Path) -> Client:
    """Our own client; each path that it is given becomes a model of its own, so that nothing is there yet."""

    def command(target: Path) -> list[str]:
        return [str(OURS), "publish", f"bench/{target.name}", str(source), "-r", registry, "--json", "--quiet"]

    return Client(NAME, command, "SHA-256 and XXH3 of every chunk")


def source_of(site: Site, version: int) -> Path:
    """Return the large file under its own name."""
    site.large(version)
    return site.work / f"large-{version}" / "model.bin"


def open_registry_at(site: Site, server: S3Server) -> str:
    """Create a registry in the store and return its URL."""
    registry = f"s3://{server.bucket}/benchmark"
    run_once([str(OURS), "init", registry, "--quiet"], environment_of(site, server), site.work)
    return registry


def environment_of(site: Site, server: S3Server) -> Mapping[str, str]:
    """Return what a program sees that talks to this store."""
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return site.environment(server.endpoint_url) | keys


def check_uploaded(source: Path) -> Callable[[Client, Path, Sample], None]:
    """Return a check that our own client really sent everything."""
    size_bytes = source.stat().st_size

    def check(client: Client, _: Path, sample: Sample) -> None:
        if client.name == NAME and json.loads(sample.output)["uploaded_bytes"] != size_bytes:
            raise RuntimeError(f"{client.name} did not upload everything: {sample.output}")

    return check


def remove_store(site: Site, name: object) -> None:
    """Remove what a store kept."""
    shutil.rmtree(site.work / f"weed-{name}")
