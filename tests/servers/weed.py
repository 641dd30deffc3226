"""SeaweedFS: a real S3 server that keeps its promises."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from servers.process import S3Server, find_free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "registry"
ACCESS_KEY = "AKIAADMINADMINADMIN0"
SECRET_KEY = "admin/secret+that+must+never+be+shown"
READER_ACCESS_KEY = "AKIAREADERREADER0000"
READER_SECRET_KEY = "reader/secret+that+must+never+be+shown"

PORT_FLAGS = (
    "s3.port",
    "s3.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
FIXED_FLAGS = (
    f"-bucket={BUCKET}",
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.autoCreateBucket=false",
)


@contextmanager
def run_weed(directory: Path, configuration: str | None = None) -> Iterator[S3Server]:
    """Run SeaweedFS on free loopback ports, with the bucket and a second user who may only read.

    Another `configuration` of its users has the first user, too.
    """
    ports = dict(zip(PORT_FLAGS, find_free_ports(len(PORT_FLAGS)), strict=True))
    kept = directory / "kept"
    kept.mkdir(parents=True)
    users = directory / "users.json"
    users.write_text(configuration or json.dumps(_users()))
    command = [
        str(Path(sys.executable).parent / "weed"),
        "mini",
        f"-dir={kept}",
        f"-s3.config={users}",
        *FIXED_FLAGS,
        *(f"-{flag}={port}" for flag, port in ports.items()),
    ]
    server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", BUCKET, ACCESS_KEY, SECRET_KEY)
    with running(command, {}, directory / "weed.log", lambda: _serves(server)):
        yield server


def as_reader(server: S3Server) -> S3Server:
    """Return the same server as its second user sees it."""
    return S3Server(server.endpoint_url, server.bucket, READER_ACCESS_KEY, READER_SECRET_KEY)


def _users() -> dict[str, object]:
    def user(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, object]:
        keys = [{"accessKey": access_key, "secretKey": secret_key}]
        return {"name": name, "credentials": keys, "actions": actions}

    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    return {
        "identities": [
            user("admin", ACCESS_KEY, SECRET_KEY, everything),
            user("reader", READER_ACCESS_KEY, READER_SECRET_KEY, [f"Read:{BUCKET}", f"List:{BUCKET}"]),
        ]
    }


def _serves(server: S3Server) -> bool:
    """Whether the bucket takes and gives: the gateway listens before the volumes behind it are there."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(
            connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
        ),
    )
    try:
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"1")
        client.delete_object(Bucket=server.bucket, Key="ready")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True
