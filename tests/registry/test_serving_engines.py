"""Do the loaders of real engines load a version from `serve/` on a real server, bit for bit?

They bring PyTorch with them, so they live in an environment of their own: `BUCKETRY_ENGINES_PYTHON` names its Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.registry.core.opening import create_registry
from bucketry.registry.serving.materialize import materialize
from bucketry.schema.names import parse_reference
from registry.safetensors_files import make_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from servers.process import S3Server

PYTHON = os.environ.get("BUCKETRY_ENGINES_PYTHON", sys.executable)
LONGEST_SECONDS = 240
STREAMER = """
import hashlib, json, sys
from runai_model_streamer import SafetensorsStreamer
found = {}
with SafetensorsStreamer() as streamer:
    streamer.stream_file(sys.argv[1] + "/model.safetensors")
    for name, tensor in streamer.get_tensors():
        found[name] = hashlib.sha256(tensor.cpu().numpy().tobytes()).hexdigest()
print(json.dumps(found))
"""
KSERVE = """
import hashlib, json, pathlib, sys
from kserve_storage import Storage
folder = pathlib.Path(Storage.download(sys.argv[1], sys.argv[2]))
files = [path for path in folder.rglob("*") if path.is_file()]
digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
print(json.dumps(digests))
"""


def need(package: str) -> None:
    found = subprocess.run([PYTHON, "-c", f"import {package}"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{package} is not installed where BUCKETRY_ENGINES_PYTHON says")


def run(script: str, server: S3Server, *arguments: str) -> dict[str, str]:
    settings = {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING": "0",
    }
    done = subprocess.run(
        [PYTHON, "-c", script, *arguments],
        capture_output=True,
        env=os.environ | settings,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def uri(weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return where a version of 24 MB and some lies, so that the store copies it in several parts."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", weed.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", weed.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", weed.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    url = f"s3://{weed.bucket}/{tmp_path.name}"
    create_registry(url, identity="ada@example.org")
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.safetensors").write_bytes(make_tensors(TENSORS))
    (files / "pytorch_model.bin").write_bytes(b"the same once more")
    (files / "config.json").write_bytes(b"{}")
    with open_registry(url, identity="ada@example.org") as registry:
        registry.publish("acme/chat", files)
        return materialize(registry.session, parse_reference("acme/chat:1")).uri


TENSORS = {f"layer.{number}": ("U8", [6_000_000 + number], os.urandom(6_000_000 + number)) for number in range(4)}


def test_the_streamer_that_vllm_uses_reads_every_tensor(uri: str, weed: S3Server) -> None:
    need("runai_model_streamer")
    expected = {name: hashlib.sha256(body).hexdigest() for name, (_, _, body) in TENSORS.items()}
    assert run(STREAMER, weed, uri) == expected


def test_what_kserve_downloads_is_the_version(uri: str, weed: S3Server, tmp_path: Path) -> None:
    need("kserve_storage")
    got = run(KSERVE, weed, uri, str(tmp_path / "got"))
    got.pop(".bucketry/ready.json", None)
    assert got == {
        "model.safetensors": hashlib.sha256(make_tensors(TENSORS)).hexdigest(),
        "config.json": hashlib.sha256(b"{}").hexdigest(),
    }
