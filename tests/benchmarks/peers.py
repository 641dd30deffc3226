"""Which other programs are there, and how is each told to fetch or to send?"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Client, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
TOP = HERE.parent.parent
PEERS = TOP / ".venv-peers" / "bin"
OURS = Path(sys.executable).parent / "bucketry"


@dataclass(frozen=True, slots=True)
class ObjectAt:
    """An object as everybody else sees it."""

    endpoint_url: str
    bucket: str
    key: str

    @property
    def place(self) -> str:
        """The bucket and the key, as one path."""
        return f"{self.bucket}/{self.key}"


def bucketry_pull(registry: str, reference: str, verify: str) -> Client:
    """Our own client."""

    def command(target: Path) -> list[str]:
        return [str(OURS), "pull", reference, str(target), "--verify", verify, "-r", registry, "--json", "--quiet"]

    return Client(f"bucketry, {verify}", command, "SHA-256" if verify == "sha256" else "XXH3")


def getters(at: ObjectAt, *, streams: int = 8, authority: Path | None = None) -> list[Client]:
    """Return every peer that can fetch one object, those with a choice set to `streams` connections."""
    one = [at.endpoint_url, at.bucket, at.key]

    def s5cmd(*flags: str) -> Callable[[Path], list[str]]:
        return lambda target: [*_s5cmd(at.endpoint_url), "cp", *flags, f"s3://{at.place}", str(target)]

    def script(name: str, *flags: str) -> Callable[[Path], list[str]]:
        return lambda target: [str(PEERS / "python"), str(HERE / name), *one, str(target), *flags]

    def aws(target: Path) -> list[str]:
        command = [str(PEERS / "aws"), "--endpoint-url", at.endpoint_url, "s3", "cp", "--only-show-errors"]
        return [*command, f"s3://{at.place}", str(target)]

    def rclone(target: Path) -> list[str]:
        flags = [f"--multi-thread-streams={streams}", "--multi-thread-cutoff=16M", "--multi-thread-chunk-size=16M"]
        return [*_rclone(at.endpoint_url), *flags, "copyto", f":s3:{at.place}", str(target)]

    def aria2(target: Path) -> list[str]:
        flags = ["-q", f"-x{streams}", f"-s{streams}", "-k16M", "--file-allocation=none", "--no-conf=true"]
        flags += [f"--ca-certificate={authority}"] if authority else []
        return ["aria2c", *flags, "-d", str(target.parent), "-o", target.name, f"{at.endpoint_url}/{at.place}"]

    return _present(
        [
            Client("s5cmd", s5cmd()),
            Client(f"s5cmd, {streams} parts of 16 MiB", s5cmd("-c", str(streams), "-p", "16")),
            Client(f"rclone, {streams} streams", rclone),
            Client(f"obstore, {streams} ranges at once", script("peer_obstore.py", str(streams))),
            Client("boto3, 16 threads, 64 MiB parts", script("peer_boto3.py", "16", "64")),
            Client("boto3", script("peer_boto3.py")),
            Client("s3transfer, CRT", script("peer_crt.py")),
            Client("AWS CLI", aws),
            Client(f"aria2, {streams} connections", aria2),
        ]
    )


def folder_getters(at: ObjectAt, urls: Path) -> list[Client]:
    """Return every peer that can fetch all objects below a prefix, which `urls` lists one a line, into a folder."""
    one = [at.endpoint_url, at.bucket, at.key]

    def s5cmd(target: Path) -> list[str]:
        return [*_s5cmd(at.endpoint_url), "cp", f"s3://{at.place}/*", f"{target}/"]

    def rclone(target: Path) -> list[str]:
        flags = ["--transfers=32", "--checkers=32", "--ignore-checksum"]
        return [*_rclone(at.endpoint_url), *flags, "copy", f":s3:{at.place}", str(target)]

    def obstore(target: Path) -> list[str]:
        return [str(PEERS / "python"), str(HERE / "peer_obstore.py"), *one, str(target), "16", "folder"]

    def aria2(target: Path) -> list[str]:
        return ["aria2c", "-q", "-j16", "--file-allocation=none", "--no-conf=true", "-d", str(target), "-i", str(urls)]

    return _present(
        [
            Client("s5cmd", s5cmd),
            Client("rclone, 32 transfers", rclone),
            Client("obstore, 16 threads", obstore),
            Client("aria2, 16 at once", aria2),
        ]
    )


def putters(source: Path, endpoint_url: str, bucket: str) -> list[Client]:
    """Return the peers that send one file to a store; the path that they are given names the object."""

    def s5cmd(*flags: str) -> Callable[[Path], list[str]]:
        return lambda target: [*_s5cmd(endpoint_url), "cp", *flags, str(source), f"s3://{bucket}/{target.name}-{flags}"]

    def rclone(target: Path) -> list[str]:
        flags = ["--s3-upload-concurrency=8", "--s3-chunk-size=16M", "--s3-disable-checksum"]
        return [*_rclone(endpoint_url), *flags, "copyto", str(source), f":s3:{bucket}/{target.name}-rclone"]

    return _present(
        [
            Client("s5cmd", s5cmd(), "a checksum of each part"),
            Client("s5cmd, 8 parts of 16 MiB", s5cmd("-c", "8", "-p", "16"), "a checksum of each part"),
            Client("rclone, 8 parts of 16 MiB", rclone, "a checksum of each part"),
        ]
    )


def syncers(folder: Path, endpoint_url: str, bucket: str) -> list[Client]:
    """Return the peers that send a whole folder to a store; the path that they are given names the prefix."""

    def rclone(target: Path) -> list[str]:
        flags = ["--transfers=16", "--checkers=16", "--s3-upload-concurrency=8", "--s3-chunk-size=16M"]
        return [*_rclone(endpoint_url), *flags, "sync", str(folder), f":s3:{bucket}/{target.name}-rclone"]

    return _present([Client("rclone sync, 16 transfers", rclone, "a checksum of each part")])


def versions() -> dict[str, str]:
    """Return the version of every program that takes part."""
    ours = {name: importlib.metadata.version(name) for name in ("bucketry", "boto3", "botocore", "xxhash")}
    commands = {
        "python": [sys.executable, "--version"],
        "s5cmd": [str(PEERS / "s5cmd"), "version"],
        "rclone": [str(PEERS / "rclone"), "version"],
        "AWS CLI": [str(PEERS / "aws"), "--version"],
        "obstore": [str(PEERS / "python"), "-c", "import obstore; print(obstore.__version__)"],
        "boto3 (the peer)": [str(PEERS / "python"), "-c", "import boto3; print(boto3.__version__)"],
        "aria2": ["aria2c", "--version"],
        "nginx": ["nginx", "-v"],
        "SeaweedFS": [str(OURS.with_name("weed")), "version"],
    }
    return ours | {name: _first_line(command) for name, command in commands.items()}


def _s5cmd(endpoint_url: str) -> list[str]:
    return [str(PEERS / "s5cmd"), "--log", "error", "--endpoint-url", endpoint_url]


def _rclone(endpoint_url: str) -> list[str]:
    flags = ["--config=", "--s3-provider=Other", "--s3-env-auth", "--s3-no-check-bucket", "--s3-region=us-east-1"]
    return [str(PEERS / "rclone"), *flags, f"--s3-endpoint={endpoint_url}"]


def _present(clients: Sequence[Client]) -> list[Client]:
    present = []
    for client in clients:
        program = client.command(Path("target"))[0]
        if shutil.which(program):
            present.append(client)
        else:
            say(f"left out: {client.name}: {program} is not installed")
    return present


def _first_line(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return "absent"
    words = (done.stdout or done.stderr).strip().splitlines()
    return words[0].strip() if words and done.returncode == 0 else "absent"
