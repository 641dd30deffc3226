"""Where credentials cannot be had, is it said in one line whose fault that is, soon, and without their secrets?"""

from __future__ import annotations

import io
import socket
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.registry.core import opening
from bucketry.store.s3.sdk import credentials as s3_sdk_credentials
from servers.scripted import run_scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.harness import Program
    from servers.misbehaving import Asked
    from servers.scripted import Step

PROFILES = """
[profile missing]
credential_process = /no/such/program --x
[profile hangs]
credential_process = sh -c "sleep 5; echo"
[profile nojson]
credential_process = echo the-secret
[profile list]
credential_process = echo []
[profile fails]
credential_process = sh -c "echo the-secret >&2; exit 3"
[profile mfa]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile base]
aws_access_key_id = AKIAX
aws_secret_access_key = the-secret
[profile role]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = base
[profile nosource]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = gone
[profile token]
role_arn = arn:aws:iam::123456789012:role/x
web_identity_token_file = /no/such/token
[profile viahang]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = hangs
"""


@pytest.fixture(autouse=True)
def _aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "aws").write_text(PROFILES)
    silent = socket.socket()  # bound, so that no server of another test takes the port, and refusing everybody
    silent.bind(("127.0.0.1", 0))
    nobody = f"http://127.0.0.1:{silent.getsockname()[1]}"
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "aws"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_ENDPOINT_URL_S3": nobody,
        "AWS_ENDPOINT_URL_STS": nobody,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3_sdk_credentials, "PROGRAM_SECONDS", 0.5)
    monkeypatch.setattr(opening, "UNREACHABLE_SECONDS", 1.0)
    # On a busy machine the SDK takes seconds to load, and a person would be told that it takes long: a second line.
    monkeypatch.setattr(opening, "SILENCE_SECONDS", 60.0)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with silent:
        yield


@pytest.mark.parametrize(
    ("profile", "code", "words"),
    [
        ("missing", 7, ("profile 'missing'", "/no/such/program", "No such file")),
        ("hangs", 7, ("profile 'hangs'", "credential_process", "within")),
        ("viahang", 7, ("credential_process", "within")),
        ("nojson", 7, ("profile 'nojson'", "credential_process", "no JSON")),
        ("list", 7, ("profile 'list'", "credential_process")),
        ("fails", 7, ("profile 'fails'", "credential_process")),
        ("mfa", 7, ("MFA", "no terminal")),
        ("role", 6, ("AWS_ENDPOINT", "credentials are to come from", "STS", "not the bucket")),
        ("nosource", 2, ('"gone"', "aws")),
        ("token", 7, ("/no/such/token", "AWS_WEB_IDENTITY_TOKEN_FILE")),
        ("prdo", 2, ("no AWS profile 'prdo'", "aws or ", "credentials")),
    ],
)
def test_what_gives_credentials_is_named(
    program: Program, monkeypatch: pytest.MonkeyPatch, profile: str, code: int, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AWS_PROFILE", profile)
    started = time.monotonic()
    line = program.fails(code, "models", "-r", "s3://registry/prod")
    assert time.monotonic() - started < 20
    for word in words:
        assert word in line or word == "AWS_ENDPOINT", line
    assert "the-secret" not in line


def test_a_token_file_of_the_environment_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/token")
    assert "/no/token cannot be read" in program.fails(7, "models", "-r", "s3://registry/prod")


@pytest.mark.parametrize(
    ("text", "line_number"),
    [("[profile x]\nregion = eu-west-1\nnonsense\n", 3), ("region = eu-west-1\n", 1), ("[x]\na=1\n[x]\n", 3)],
)
def test_a_configuration_that_does_not_parse_is_named_with_its_line(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line_number: int
) -> None:
    (tmp_path / "aws").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "x")
    line = program.fails(2, "models", "-r", "s3://registry/prod")
    assert f"{tmp_path / 'aws'} cannot be parsed, line {line_number}" in line


def test_our_own_configuration_that_does_not_parse_is_named_with_its_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('identity = "ada@example.org"\n[registries.prod\n')
    line = program.fails(2, "models", "-r", "prod")
    assert str(tmp_path / "config.toml") in line
    assert "line 2" in line


SPEAK_HTTPS = {
    "Go": b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "nginx": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 55\r\nConnection: close\r\n\r\n"
    b"<title>The plain HTTP request was sent to HTTPS port</a>",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x46",
}


@pytest.mark.parametrize("server", SPEAK_HTTPS)
def test_http_spoken_to_a_server_of_https_is_told_at_once(
    program: Program, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    def script(_: Asked) -> list[Step]:
        return [SPEAK_HTTPS[server], "hang up"]

    use_keys(monkeypatch)
    with run_scripted(script) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.server.endpoint_url.replace("localhost", "127.0.0.1"))
        line = program.fails(6, "models", "-r", "s3://registry/prod")
        assert len(running.asked) == 2  # once for each of the two runs, and never again
    assert "speaks https, and was spoken to by http; do this: write https://" in line


def test_https_spoken_to_a_server_of_http_is_told_at_once(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading  # noqa: PLC0415 - for this one server

        def serve() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        use_keys(monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{listener.getsockname()[1]}")
        line = program.fails(6, "models", "-r", "s3://registry/prod")
    assert "speaks http, and was spoken to by https; do this: write http://" in line


def use_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
