"""How fast is a registry copied beside a tool that copies files unread, and what does it cost when nothing moved?"""

from __future__ import annotations

import json
import math
import shutil
import sys
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import Client, Measured, Sample, fastest, is_peer, named, race, run_once
from benchmarks.peers import OURS, syncers
from benchmarks.publishes import environment_of, remove_store
from benchmarks.screens_estate import build_estate
from servers.weed import run_weed

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.options import Options
    from benchmarks.site import Site
    from servers.process import S3Server

NAME = "bucketry mirror, SHA-256 of every chunk"
BARE = "one listing of each side"
SMALL_FILES, SMALL_BYTES = 2_000, 20_000
LEAST_VERSIONS = 1_000
LIST_BOTH = """
import sys
from bucketry.store.folder.store import FolderStore
print([sum(1 for _ in FolderStore(folder).list("")) for folder in sys.argv[1:]])
"""


def measure_mirror(site: Site, options: Options) -> RowResult:
    """One large file and many small ones in a folder, into SeaweedFS; each round has a store of its own."""
    site.large()
    site.small(SMALL_FILES, SMALL_BYTES)
    rounds: dict[str, list[Sample]] = {}
    verifies: dict[str, str] = {}
    number, last = 0, options.rounds
    while number < last:
        with run_weed(site.work / f"weed-{number}") as server:
            clients = [mirrorer(site, server), *syncers(site.registry, server.endpoint_url, server.bucket)]
            turned = clients[number % len(clients) :] + clients[: number % len(clients)]
            for one in race(turned, environment_of(site, server), site.work, rounds=1, check=check_copied):
                rounds.setdefault(one.name, []).extend(one.samples)
                verifies[one.name] = one.verifies
        remove_store(site, number)
        number, last = number + 1, math.ceil(options.rounds / len(clients)) * len(clients)
    measured = [Measured(name, verifies[name], tuple(samples)) for name, samples in rounds.items()]
    peer = fastest(measured, among=is_peer)
    findings = []
    if peer is not None:
        share = peer.wall_seconds / named(measured, NAME).wall_seconds
        target = "at least 0.9 x rclone sync of the same files, though it also verifies and keeps the order"
        findings.append(Finding("mirror to an empty SeaweedFS", target, f"{share:.2f} x {peer.name}", share >= 0.9))
    return RowResult("Mirror of a registry in a folder to SeaweedFS", findings, measured)


def measure_unchanged_mirror(site: Site, options: Options) -> RowResult:
    """A registry of many models in a folder, and a replica of it, of which nothing has moved since the last mirror."""
    estate = build_estate(site.work / "estate", versions=LEAST_VERSIONS, models=options.screens_models)
    replica = site.work / "estate-replica"
    # Its versions share what they stand for: without the files, which are not listed here anyway.
    command = [str(OURS), "mirror", str(estate.folder), str(replica), "--aliases", "none", "--json", "--quiet"]
    run_once(command, site.environment(), site.work)
    listing = [sys.executable, "-c", LIST_BOTH, str(estate.folder), str(replica)]
    clients = [Client(NAME, lambda _: command, "the ETags of all registers"), Client(BARE, lambda _: listing)]
    measured = race(clients, site.environment(), site.work, rounds=options.rounds, check=check_nothing_copied)
    share = named(measured, NAME).wall_seconds / named(measured, BARE).wall_seconds
    target = "at most 2 x one listing of each side"
    finding = Finding(f"mirror of {estate.models:,} models, unchanged", target, f"{share:.2f} x", share <= 2.0)
    for folder in (estate.folder, replica):
        shutil.rmtree(folder)
    return RowResult("Mirror of a registry that did not change", [finding], measured)


def mirrorer(site: Site, server: S3Server) -> Client:
    """Our own client; each path that it is given becomes a place of its own."""

    def command(target: Path) -> list[str]:
        place = f"s3://{server.bucket}/{target.name}-ours"
        return [str(OURS), "mirror", str(site.registry), place, "--json", "--quiet"]

    return Client(NAME, command, "SHA-256 of every chunk")


def check_nothing_copied(client: Client, _: Path, sample: Sample) -> None:
    """Raise if our own client found anything to do."""
    if client.name == NAME and json.loads(sample.output)["models"]:
        raise RuntimeError(f"{client.name} found something that moved: {sample.output}")


def check_copied(client: Client, _: Path, sample: Sample) -> None:
    """Raise unless our own client really copied everything."""
    if client.name == NAME and not json.loads(sample.output)["complete"]:
        raise RuntimeError(f"{client.name} did not copy everything: {sample.output}")
