"""How fast does one large file arrive, and how fast do many small ones, beside what everybody uses?"""

from __future__ import annotations

import filecmp
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.findings import Finding, RowResult
from benchmarks.measure import MEBIBYTE, Client, Measured, fastest, is_peer, named, race
from benchmarks.peers import bucketry_pull, folder_getters, getters
from benchmarks.site import REGISTRY_URL, Blob, Site, shaped
from benchmarks.sparse import make_sparse, punching

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Sample
    from benchmarks.options import Options

SMALL_FILES = 2_000
SMALL_FILE_BYTES = 20_000
LATENCY_SECONDS = 0.030
CONNECTION_RATE = 80e6
PIPE_RATE = 400e6
"""All connections together, so that the pipe is one that this machine's two cores carry without effort."""
SHAPED_STREAMS = 16
SHAPED_PEERS = ("s5cmd, 16", "rclone", "obstore")
CARRIER = "(the shaped server itself)"
HASHER = "(sha256sum of the file that is there)"


def measure_pull(site: Site, options: Options) -> RowResult:
    """Plain HTTP: ours with both kinds of verification, the peers, and `sha256sum` alone."""
    blob = site.large()
    url = site.url()
    ours = [bucketry_pull(REGISTRY_URL, "bench/large:1", verify) for verify in ("fast", "sha256")]
    hasher = Client(HASHER, lambda _: ["sha256sum", str(blob.path)], "SHA-256")
    peers = getters(site.at(blob.path, url))
    measured = race(
        [*ours, *peers, hasher], site.environment(url), site.work, rounds=options.rounds, check=compare_with(blob)
    )
    fast, sure, hashing = (named(measured, name) for name in (ours[0].name, ours[1].name, HASHER))
    findings = []
    peer = fastest(measured, among=is_peer)
    if peer is not None:
        share = peer.wall_seconds / fast.wall_seconds
        findings.append(
            Finding(
                "pull, plain HTTP, verified fast",
                "at least 1.10 x the throughput of the fastest peer, which verifies nothing",
                f"{share:.2f} x {peer.name}",
                share >= 1.10,
            )
        )
        both_seconds = peer.wall_seconds + hashing.wall_seconds
        both_cpu = peer.cpu_seconds + hashing.cpu_seconds
        share = both_seconds / sure.wall_seconds
        findings.append(
            Finding(
                "pull, SHA-256 of every chunk (the default)",
                "at least 1.4 x (the fastest peer, then sha256sum), and no more processor time than that",
                f"{share:.2f} x ({peer.name}, then sha256sum); CPU {sure.cpu_seconds / both_cpu:.2f} of theirs",
                share >= 1.4 and sure.cpu_seconds <= both_cpu,
            )
        )
    return RowResult("Pull of one large file, plain HTTP", findings, measured)


def measure_tls(site: Site, options: Options) -> RowResult:
    """The same over TLS, every client told to trust the server's certificate."""
    blob, url, work = site.large(), site.url(tls=True), site.work
    ours = bucketry_pull(REGISTRY_URL, "bench/large:1", "fast")
    peers = getters(site.at(blob.path, url), authority=work / "ca.crt")
    measured = race([ours, *peers], site.environment(url), work, rounds=options.rounds, check=compare_with(blob))
    peer = fastest(measured, among=is_peer)
    findings = []
    if peer is not None:
        share = peer.wall_seconds / named(measured, ours.name).wall_seconds
        findings.append(
            Finding(
                "pull over TLS, verified fast",
                "at least the fastest peer",
                f"{share:.2f} x {peer.name}",
                share >= 1.0,
            )
        )
    return RowResult("Pull of one large file, TLS", findings, measured)


def measure_shaped(site: Site, options: Options) -> RowResult:
    """Through 30 ms and 80 MB/s for each connection, a file large enough that starting up does not decide."""
    blob = make_sparse(site, "far", options.shaped_bytes)
    with shaped(site, latency_seconds=LATENCY_SECONDS, connection_rate=CONNECTION_RATE, pipe_rate=PIPE_RATE) as port:
        url = f"http://127.0.0.1:{port}"
        at = site.at(blob.path, url)
        script = str(Path(__file__).with_name("carry.py"))
        carrier = Client(CARRIER, lambda _: [sys.executable, script, str(port), f"/{at.place}", "16"])
        ours = [bucketry_pull(REGISTRY_URL, "bench/far:1", verify) for verify in ("fast", "sha256")]
        peers = [one for one in getters(at, streams=SHAPED_STREAMS) if one.name.startswith(SHAPED_PEERS)]
        with punching(site.work, "target-"):
            measured = race(
                [*ours, *peers, carrier],
                site.environment(url),
                site.work,
                rounds=min(2, options.rounds),
                check=count_fetched(blob.size_bytes),
            )
    cpu_seconds = json.loads((site.work / "shaped.json").read_text())["cpu_seconds"]
    shares = {one.name: blob.size_bytes / one.wall_seconds / PIPE_RATE for one in measured}
    busy_seconds = sum(sample.wall_seconds for one in measured for sample in one.samples)
    peer = fastest(measured, among=is_peer)
    beside = f"; {peer.name} {shares[peer.name]:.2f}" if peer else ""
    finding = Finding(
        f"pull through 30 ms and 80 MB/s a connection, a pipe of {PIPE_RATE / 1e6:.0f} MB/s",
        "at least 0.95 of the pipe, by itself",
        f"{shares[ours[0].name]:.3f} of the pipe (SHA-256: {shares[ours[1].name]:.3f}{beside}), whole process",
        shares[ours[0].name] >= 0.95,
    )
    facts = {
        "file_bytes": blob.size_bytes,
        "share_of_the_pipe": {name: round(share, 3) for name, share in shares.items()},
        "seconds_within_our_pull": [round(seconds_told(run), 3) for run in named(measured, ours[0].name).samples],
        "share_of_one_core_that_the_proxy_used": round(cpu_seconds / busy_seconds, 3),
    }
    return RowResult("Pull of one large file, far away", [finding], measured, facts)


def measure_small(site: Site, options: Options) -> RowResult:
    """Many small files of one version."""
    folder = site.small(SMALL_FILES, SMALL_FILE_BYTES)
    url = site.url()
    urls = site.work / "urls.txt"
    at = site.at(folder, url)
    urls.write_text("".join(f"{url}/{at.place}/{path.name}\n" for path in sorted(folder.iterdir())))
    ours = bucketry_pull(REGISTRY_URL, "bench/small:1", "sha256")

    def check(client: Client, target: Path, _: Sample) -> None:
        got = sum(path.stat().st_size for path in target.rglob("*.bin" if client is ours else "*") if path.is_file())
        if got != SMALL_FILES * SMALL_FILE_BYTES:
            raise RuntimeError(f"{client.name} brought {got:,} bytes")

    measured = race(
        [ours, *folder_getters(at, urls)], site.environment(url), site.work, rounds=options.rounds, check=check
    )
    return RowResult("Pull of many small files", small_findings(measured, ours.name), measured)


def small_findings(measured: list[Measured], name: str) -> list[Finding]:
    """Compare with s5cmd, which the target names, and say who is fastest."""
    peer, best = fastest(measured, among=lambda one: one.name == "s5cmd"), fastest(measured, among=is_peer)
    if peer is None or best is None:
        return []
    wall_seconds = named(measured, name).wall_seconds
    share = peer.wall_seconds / wall_seconds
    beside = "" if best is peer else f"; {best.wall_seconds / wall_seconds:.2f} x {best.name}"
    return [
        Finding(
            f"{SMALL_FILES:,} files of {SMALL_FILE_BYTES // 1000} KB, each verified by SHA-256",
            "at least s5cmd",
            f"{share:.2f} x s5cmd{beside}",
            share >= 1.0,
        )
    ]


def compare_with(blob: Blob) -> Callable[[Client, Path, Sample], None]:
    """Return a check that the first run of each contender brought the very bytes, and later ones as many."""
    compared: set[str] = set()

    def check(client: Client, target: Path, sample: Sample) -> None:
        if client.name == HASHER:
            return
        got = target / "model.bin" if target.is_dir() else target
        right = got.stat().st_size == blob.size_bytes
        if client.name not in compared:
            right = right and filecmp.cmp(got, blob.path, shallow=False)
            compared.add(client.name)
        if not right:
            raise RuntimeError(f"{client.name} brought other bytes")
        count_fetched(blob.size_bytes)(client, target, sample)

    return check


def count_fetched(size_bytes: int) -> Callable[[Client, Path, Sample], None]:
    """Return a check that our own client really moved all bytes."""

    def check(client: Client, _: Path, sample: Sample) -> None:
        if client.name.startswith("bucketry") and json.loads(sample.output)["fetched_bytes"] != size_bytes:
            raise RuntimeError(f"{client.name} did not fetch everything: {sample.output}")

    return check


def seconds_told(sample: Sample) -> float:
    """Return the time that our own client says its pull took, without the start of the process."""
    return float(json.loads(sample.output)["seconds"])


def mebibytes(size_bytes: float) -> str:
    """Return a size as a person reads it."""
    return f"{size_bytes / MEBIBYTE:,.0f} MiB"
