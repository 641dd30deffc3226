"""How fast does one large file arrive, and how fast do many small ones, beside what everybody uses?"""

from __future__ import annotations

import filecmp
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.findings import Beside, Finding, RowResult
from benchmarks.measure import MEBIBYTE, Client, Measured, fastest, is_peer, named, race
from benchmarks.options import GIBIBYTE
from benchmarks.peers import bucketry_pull, folder_getters, getters
from benchmarks.site import REGISTRY_URL, Blob, Site, shaped
from benchmarks.sparse import make_sparse, punching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

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
FAST, SURE = "bucketry, fast", "bucketry, sha256"
FAR_BEHIND = 2.0
"""Peers that took so many times the fastest one's time for the smaller file are spared the larger one."""


def measure_pull(site: Site, options: Options) -> RowResult:
    """Plain HTTP: ours with both kinds of verification, the peers, and `sha256sum` alone, at two sizes."""
    small, huge = race_at_both_sizes(site, options, verifies=("fast", "sha256"), with_hasher=True)
    findings = []
    peer = fastest(huge, among=is_peer)
    if peer is not None:
        fast, sure, hashing = (named(huge, name) for name in (FAST, SURE, HASHER))
        share = peer.wall_seconds / fast.wall_seconds
        findings.append(
            Finding(
                f"pull, plain HTTP, verified fast, {gibibytes(options.huge_bytes)}",
                "at least 1.10 x the throughput of the fastest peer, which verifies nothing",
                f"{share:.2f} x {peer.name}{beside_small(small, options)}",
                share >= 1.10,
            )
        )
        both_seconds = peer.wall_seconds + hashing.wall_seconds
        both_cpu = peer.cpu_seconds + hashing.cpu_seconds
        share = both_seconds / sure.wall_seconds
        findings.append(
            Finding(
                f"pull, SHA-256 of every chunk (the default), {gibibytes(options.huge_bytes)}",
                "at least 1.4 x (the fastest peer, then sha256sum), and no more processor time than that",
                f"{share:.2f} x ({peer.name}, then sha256sum); CPU {sure.cpu_seconds / both_cpu:.2f} of theirs",
                share >= 1.4 and sure.cpu_seconds <= both_cpu,
            )
        )
    return row_of_both("Pull of one large file, plain HTTP", findings, small, huge, options)


def measure_tls(site: Site, options: Options) -> RowResult:
    """The same over TLS, every client told to trust the server's certificate."""
    small, huge = race_at_both_sizes(site, options, verifies=("fast",), tls=True)
    peer = fastest(huge, among=is_peer)
    findings = []
    if peer is not None:
        share = peer.wall_seconds / named(huge, FAST).wall_seconds
        findings.append(
            Finding(
                f"pull over TLS, verified fast, {gibibytes(options.huge_bytes)}",
                "at least the fastest peer",
                f"{share:.2f} x {peer.name}{beside_small(small, options)}",
                share >= 1.0,
            )
        )
    return row_of_both("Pull of one large file, TLS", findings, small, huge, options)


def race_at_both_sizes(
    site: Site, options: Options, *, verifies: Sequence[str], tls: bool = False, with_hasher: bool = False
) -> tuple[list[Measured], list[Measured]]:
    """Let all contenders fetch the smaller file, then the larger one, without peers that were far behind at that."""
    url, authority = site.url(tls=tls), site.work / "ca.crt" if tls else None

    def race_for(model: str, blob: Blob, left_out: Collection[str]) -> list[Measured]:
        ours = [bucketry_pull(REGISTRY_URL, f"bench/{model}:1", verify) for verify in verifies]
        peers = [one for one in getters(site.at(blob.path, url), authority=authority) if one.name not in left_out]
        hasher = Client(HASHER, lambda _: ["sha256sum", str(blob.path)], "SHA-256")
        return race(
            [*ours, *peers, *([hasher] if with_hasher else [])],
            site.environment(url),
            site.work,
            rounds=options.rounds,
            check=compare_with(blob),
        )

    small = race_for("large", site.large(), ())
    best = fastest(small, among=is_peer)
    limit_seconds = 0.0 if best is None else FAR_BEHIND * best.wall_seconds
    slow = [one.name for one in small if is_peer(one) and one.wall_seconds > limit_seconds]
    return small, race_for("huge", site.huge(), slow)


def row_of_both(
    title: str, findings: Sequence[Finding], small: Sequence[Measured], huge: Sequence[Measured], options: Options
) -> RowResult:
    """Put both sizes into one row, and what a contender's time grows by with each GiB."""
    slopes, starts = {}, {}
    for one in huge:
        cpu_seconds = named(small, one.name).cpu_seconds
        slope = (one.cpu_seconds - cpu_seconds) / (options.huge_bytes - options.size_bytes)
        slopes[one.name] = round(slope * GIBIBYTE, 2)
        starts[one.name] = round(cpu_seconds - slope * options.size_bytes, 2)
    facts = {"cpu_seconds_of_each_further_gib": slopes, "cpu_seconds_besides": starts}
    return RowResult(
        title,
        findings,
        huge,
        facts if options.huge_bytes > options.size_bytes else {},
        caption=f"{gibibytes(options.huge_bytes)}, without the peers that took over"
        f" {FAR_BEHIND:g} x the time of the fastest one for the smaller file",
        beside=[Beside(gibibytes(options.size_bytes), small)],
    )


def beside_small(small: Sequence[Measured], options: Options) -> str:
    """Say how the smaller file came out, of which starting the process is a larger part."""
    peer = fastest(small, among=is_peer)
    if peer is None:
        return ""
    share = peer.wall_seconds / named(small, FAST).wall_seconds
    return f" ({gibibytes(options.size_bytes)}: {share:.2f} x {peer.name})"


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


def gibibytes(size_bytes: float) -> str:
    """Return a size as a person reads it."""
    return f"{size_bytes / GIBIBYTE:g} GiB"


def mebibytes(size_bytes: float) -> str:
    """Return a size as a person reads it."""
    return f"{size_bytes / MEBIBYTE:,.0f} MiB"
