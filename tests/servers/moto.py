"""moto: an imitation of S3 in Python. It knows Amazon's replies well, but it is not made for races."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from servers.process import S3Server, answers, find_free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "registry"
ACCESS_KEY = "AKIAMOTOMOTOMOTO0000"
SECRET_KEY = "moto-secret-that-must-never-be-shown"


@contextmanager
def run_moto(directory: Path) -> Iterator[S3Server]:
    """Run moto's server on a free loopback port."""
    (port,) = find_free_ports(1)
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = S3Server(f"http://127.0.0.1:{port}", BUCKET, ACCESS_KEY, SECRET_KEY)
    with running(command, {}, directory / "moto.log", lambda: answers(port)):
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield server
