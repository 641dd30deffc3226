"""Run a command beside a SeaweedFS of its own: python infra/with_seaweedfs.py FOLDER COMMAND [ARGUMENT...].

The store listens on free loopback ports, keeps its files below FOLDER, and is stopped when the command ends. The
command finds it by the standard AWS environment; its bucket is `registry`.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

PORT_FLAGS = [
    f"{server}.port{grpc}" for server in ("s3", "filer", "master", "volume", "admin") for grpc in ("", ".grpc")
]
FLAGS = [
    "-bucket=registry",
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
]
START_SECONDS = 60


def main(folder: Path, command: list[str]) -> int:
    """Return the exit code of the command."""
    ports = free_ports()
    endpoint_url = f"http://127.0.0.1:{ports['s3.port']}"
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_ENDPOINT_URL_S3": endpoint_url,
        "AWS_REGION": "us-east-1",
    }
    folder.mkdir(parents=True, exist_ok=True)
    weed = [str(Path(sys.executable).parent / "weed"), "mini", f"-dir={folder}", *FLAGS]
    weed += [f"-{flag}={port}" for flag, port in ports.items()]
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - the command line is ours
            weed, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        wait_until_ready(endpoint_url, environment)
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - the user's command
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def free_ports() -> dict[str, int]:
    """Return a free loopback port for each of SeaweedFS's servers."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORT_FLAGS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return dict(zip(PORT_FLAGS, [int(one.getsockname()[1]) for one in sockets], strict=True))


def wait_until_ready(endpoint_url: str, environment: dict[str, str]) -> None:
    """Return when the bucket takes an object: the gateway listens before the volumes behind it are there."""
    import boto3  # noqa: PLC0415 - its messages belong after ours
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    for _ in range(START_SECONDS * 4):
        try:
            client.put_object(Bucket="registry", Key="ready", Body=b"")
            client.delete_object(Bucket="registry", Key="ready")
        except (BotoCoreError, ClientError):
            time.sleep(0.25)
        else:
            return
    sys.exit("SeaweedFS did not start; see weed.log in its folder")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
