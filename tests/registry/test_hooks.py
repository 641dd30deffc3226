"""Is exactly the command run, and exactly the host told, that somebody named, and does the receiver know who tells?"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bucketry.clock import Clock
from bucketry.errors import UnavailableError, UsageError
from bucketry.registry.serving.hooks import (
    MOST_TRIES,
    SECRET_VARIABLE,
    CommandHook,
    PostHook,
    parse_command,
    parse_post,
)
from bucketry.registry.serving.watch import WatchedMove
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from servers.misbehaving import Answer, run_misbehaving
from servers.process import find_free_ports

AT, BY = "2026-03-03T12:00:00.000Z", "mover@example.org"
MOVE = WatchedMove(ModelName("acme", "chat"), AliasName("production"), 7, Digest("ab" * 32), 4, State.APPROVED, AT, BY)
UNSET = WatchedMove(ModelName("acme", "chat"), AliasName("production"), None, None, 5, None, AT, BY)
FIELDS = {
    "model": "acme/chat",
    "alias": "production",
    "version": 7,
    "manifest": "ab" * 32,
    "generation": 4,
    "state": "approved",
    "since": AT,
    "by": BY,
}
SECRET = "a secret that both know"
TELL = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("BUCKETRY_")}
with open(sys.argv[1], "w") as file:
    json.dump({"stdin": json.loads(sys.stdin.read()), "environment": told, "arguments": sys.argv[2:]}, file)
"""


def no_sleep(_: float) -> None:
    """Wait for nothing."""


def post_hook(url: str) -> PostHook:
    return parse_post(url, secret=SECRET, clock=Clock(sleep=no_sleep))


def test_a_command_gets_the_move_in_its_environment_and_on_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("BUCKETRY_")]:
        monkeypatch.delenv(name)
    CommandHook([sys.executable, "-c", TELL, str(tmp_path / "told")]).tell(MOVE)
    told = json.loads((tmp_path / "told").read_text())
    assert told["stdin"] == FIELDS
    assert told["environment"] == {f"BUCKETRY_MOVE_{name.upper()}": str(value) for name, value in FIELDS.items()}
    CommandHook([sys.executable, "-c", TELL, str(tmp_path / "told")]).tell(UNSET)
    told = json.loads((tmp_path / "told").read_text())
    assert told["stdin"]["version"] is None
    assert told["environment"]["BUCKETRY_MOVE_VERSION"] == ""


def test_a_command_keeps_our_settings_gets_the_registry_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKETRY_STATE", "/state")
    monkeypatch.setenv("BUCKETRY_REGISTRY", "another")
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    words = f"{sys.executable} -c '{TELL}' {tmp_path}/told"
    parse_command(words, registry="s3://models/prod").tell(MOVE)
    environment = json.loads((tmp_path / "told").read_text())["environment"]
    assert environment["BUCKETRY_STATE"] == "/state"
    assert environment["BUCKETRY_MOVE_STATE"] == "approved"
    assert environment["BUCKETRY_REGISTRY"] == "s3://models/prod"
    assert SECRET_VARIABLE not in environment


def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    hook = parse_command(f"{sys.executable} -c '{TELL}' {tmp_path}/told '$(touch x)' ';' '*'")
    hook.tell(MOVE)
    assert json.loads((tmp_path / "told").read_text())["arguments"] == ["$(touch x)", ";", "*"]


def test_what_a_command_prints_does_not_reach_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    parse_command("echo hello").tell(MOVE)
    captured = capfdbinary.readouterr()
    assert (captured.out, captured.err) == (b"", b"hello\n")


def test_a_command_that_fails_or_is_not_there_is_told() -> None:
    with pytest.raises(UnavailableError, match="ended with 3"):
        parse_command(f"{sys.executable} -c 'raise SystemExit(3)'").tell(MOVE)
    with pytest.raises(UnavailableError, match="did not run"):
        parse_command("/no/such/program").tell(MOVE)


@pytest.mark.parametrize("text", ["", "   ", "'never closed"])
def test_no_command_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--exec"):
        parse_command(text)


def test_a_post_is_signed_so_that_the_receiver_can_verify_it() -> None:
    with run_misbehaving(lambda _: Answer(204)) as receiver:
        post_hook(f"{receiver.server.endpoint_url}/hook?token=x").tell(MOVE)
    [asked] = receiver.asked
    assert (asked.method, asked.path) == ("POST", "/hook?token=x")
    assert json.loads(asked.body) == FIELDS
    signature = hmac.new(SECRET.encode(), asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["x-bucketry-signature"] == f"sha256={signature}"
    assert asked.headers["content-type"] == "application/json"
    assert SECRET not in repr(asked)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with run_misbehaving(lambda _: Answer(204)) as elsewhere:
        moved = Answer(status, {"Location": f"{elsewhere.server.endpoint_url}/stolen"})
        with (
            run_misbehaving(lambda _: moved) as receiver,
            pytest.raises(UnavailableError, match=f"the answer was {status}"),
        ):
            post_hook(receiver.server.endpoint_url).tell(MOVE)
    assert elsewhere.asked == []
    assert len(receiver.asked) == MOST_TRIES


def test_a_receiver_that_fails_for_a_while_is_asked_again() -> None:
    answers = [Answer(503), Answer(hang_up=True), Answer(200)]
    slept: list[float] = []
    clock = Clock(sleep=slept.append, chance=lambda: 0.5)
    with run_misbehaving(lambda _: answers.pop(0)) as receiver:
        parse_post(receiver.server.endpoint_url, secret=SECRET, clock=clock).tell(MOVE)
    assert len(receiver.asked) == 3
    assert slept == [2.0, 4.0]


def test_a_receiver_that_is_away_is_told_without_what_the_url_holds() -> None:
    [port] = find_free_ports(1)
    with pytest.raises(UnavailableError, match="did not take the message") as raised:
        post_hook(f"http://127.0.0.1:{port}/hook?token=secret-token").tell(MOVE)
    assert "secret-token" not in raised.value.message
    assert SECRET not in raised.value.message


def test_no_proxy_of_the_environment_sees_a_post() -> None:
    program = "import sys\nfrom registry.test_hooks import MOVE, post_hook\npost_hook(sys.argv[1]).tell(MOVE)"
    tests = Path(__file__).parents[1]
    with run_misbehaving(lambda _: Answer(204)) as proxy, run_misbehaving(lambda _: Answer(204)) as receiver:
        environment = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | {
            "http_proxy": proxy.server.endpoint_url,
            "PYTHONPATH": f"{tests.parent / 'src'}{os.pathsep}{tests}",
        }
        # Proxies are looked up when the module is imported: only another process sees the setting.
        subprocess.run(
            [sys.executable, "-c", program, receiver.server.endpoint_url], env=environment, check=True, timeout=60
        )
    assert (len(proxy.asked), len(receiver.asked)) == (0, 1)


@pytest.mark.parametrize("secret", [None, ""])
def test_a_post_without_a_secret_is_refused(secret: str | None) -> None:
    with pytest.raises(UsageError, match="BUCKETRY_WEBHOOK_SECRET is not set"):
        parse_post("https://example.org/hook", secret=secret, clock=Clock(sleep=no_sleep))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/hook", "not encrypted"),
        ("http://127.0.0.1.example.org/hook", "not encrypted"),
        ("http://localhost@example.org/hook", "not encrypted"),
        ("ftp://example.org/hook", "not a URL"),
        ("file:///etc/passwd", "not a URL"),
        ("https:///hook", "not a URL"),
        ("hook", "not a URL"),
    ],
)
def test_a_post_goes_only_where_it_is_encrypted_or_to_this_machine(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        post_hook(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_post_to_this_machine_needs_no_encryption(host: str) -> None:
    assert post_hook(f"http://{host}:1/hook").url.endswith("/hook")
