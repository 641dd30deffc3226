"""Do bytes travel encrypted, and only to a server that proves who it is?"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bucketry.errors import UnavailableError, UsageError
from bucketry.store.contract import ETag
from bucketry.store.s3.store import S3Settings, S3Store
from servers.scripted import Scripted, Step, reply, run_scripted
from store.s3_stores import credentials
from store.s3_wires import range_reply, read_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.misbehaving import Asked


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with certificates for `localhost` and for another name, each its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is missing")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("localhost", "other.example"):
        subprocess.run(
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
            f" -keyout {name}.key -out {name}.pem".split(),
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
    return folder


def _serving_as(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@contextmanager
def _trusting(server: Scripted, **variables: str) -> Iterator[S3Store]:
    with credentials("a", "b"), mock.patch.dict(os.environ, variables):
        if "REQUESTS_CA_BUNDLE" not in variables:
            os.environ.pop("REQUESTS_CA_BUNDLE", None)
        settings = S3Settings(endpoint_url=server.server.endpoint_url, read_timeout_seconds=0.5)
        with closing(S3Store("registry", "", settings)) as store:
            yield store


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_bytes_travel_encrypted_with_the_authority_that_is_named(authority: Path, variable: str) -> None:
    body = bytes(range(256)) * 8192
    size = len(body)

    def script(asked: Asked) -> list[Step]:
        if asked.method == "PUT":
            return [reply(200, ETag='"p1"')]
        return [range_reply(body, f"bytes 0-{size - 1}/{size}")]

    named = {variable: str(authority / "localhost.pem")}
    with run_scripted(script, tls=_serving_as(authority, "localhost")) as server, _trusting(server, **named) as store:
        for _ in range(2):
            buffer = memoryview(bytearray(size))
            filled = 0
            with store.open_range("key", 0, size, etag=ETag("e1")) as stream:
                while filled < size:
                    filled += stream.readinto(buffer[filled:])
            assert bytes(buffer) == body
        store.upload_part("key", "u", 1, 0, memoryview(body))
        assert server.asked[-1].body == body
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("served", "trusted"), [("localhost", "other.example"), ("other.example", "other.example")], ids=["who", "name"]
)
def test_a_server_that_is_not_who_it_should_be_gets_nothing(authority: Path, served: str, trusted: str) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / f"{trusted}.pem")}
    with run_scripted(lambda _: [range_reply()], tls=_serving_as(authority, served)) as server:
        with (
            _trusting(server, **named) as store,
            pytest.raises(UnavailableError, match="no secure connection") as caught,
        ):
            read_range(store)
        assert "AWS_CA_BUNDLE" in caught.value.advice
        assert server.asked == []


def test_silence_ends_on_an_encrypted_connection_too(authority: Path) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / "localhost.pem")}
    serving = run_scripted(lambda _: [range_reply()[:-2], 10.0], tls=_serving_as(authority, "localhost"))
    silence = pytest.raises(UnavailableError, match=r"no byte came for 0\.5 seconds")
    with serving as server, _trusting(server, **named) as store, silence:
        read_range(store)


def test_certificates_that_are_not_there_are_named(authority: Path) -> None:
    named = {"AWS_CA_BUNDLE": str(authority / "absent.pem")}
    serving = run_scripted(lambda _: [range_reply()], tls=_serving_as(authority, "localhost"))
    with serving as server, _trusting(server, **named) as store, pytest.raises(UsageError, match=r"absent\.pem"):
        read_range(store)
