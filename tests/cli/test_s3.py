"""Does the command line work against a real S3 server, and what does it say when the server refuses?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fault_proxy import run_fault_proxy
from servers.process import find_free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program
    from servers.process import S3Server

COMPARISON_REQUESTS = 2
"""Of an approval by the command line: what production names, and that version's manifest."""


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch, *, secret_key: str | None = None) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key or server.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_what_is_published_to_a_server_comes_back(
    program: Program, weed: S3Server, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(weed, monkeypatch)
    monkeypatch.setenv("BUCKETRY_REGISTRY", f"s3://{weed.bucket}/command-line")
    assert program.json("init", f"s3://{weed.bucket}/command-line")["created"]
    assert program.json("publish", "acme/chat", files)["version"] == 1
    program.ok("promote", "acme/chat:1", "production")
    pulled = program.json("pull", "acme/chat@production", tmp_path / "dest")
    assert pulled["fetched_bytes"] == pulled["size_bytes"]
    assert (tmp_path / "dest" / "weights.bin").read_bytes() == (files / "weights.bin").read_bytes()
    assert program.ok("cat", "acme/chat:1", "README.md", "--range", "2-").stdout == b"A model\n"
    assert program.json("fsck", "--deep")["findings"] == []


def test_a_server_that_refuses_is_told_without_the_secret(
    program: Program, weed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(weed, monkeypatch)
    assert "no-such-bucket" in program.fails(3, "models", "-r", "s3://no-such-bucket")
    program.fails(3, "init", "s3://no-such-bucket/prefix")
    program.fails(3, "models", "-r", f"s3://{weed.bucket}/nothing-here")
    use(weed, monkeypatch, secret_key="a-secret-that-must-not-be-shown")
    program.fails(7, "models", "-r", f"s3://{weed.bucket}/command-line")
    verbose = program.run("models", "-r", f"s3://{weed.bucket}/command-line", "--verbose")
    for secret in ("a-secret-that-must-not-be-shown", weed.secret_key):
        assert secret not in verbose.errors


@pytest.mark.parametrize("is_long", [False, True])
def test_a_server_that_is_down_is_unavailable_and_a_long_wait_is_explained(
    program: Program, weed: S3Server, monkeypatch: pytest.MonkeyPatch, *, is_long: bool
) -> None:
    use(weed, monkeypatch)
    monkeypatch.setattr("bucketry.registry.core.opening.UNREACHABLE_SECONDS", 1)
    monkeypatch.setattr("bucketry.registry.core.opening.SILENCE_SECONDS", 0.01 if is_long else 60)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{find_free_ports(1)[0]}")
    ran = program.run("resolve", "acme/chat:1", "-r", "s3://bucket")
    *notes, error = ran.errors.splitlines()
    assert ran.code == 6
    assert error.startswith("error[unavailable]: ")
    assert notes == (["note: still waiting for the first reply of s3://bucket; ctrl-c gives up"] if is_long else [])


def test_a_store_that_lies_is_refused_with_the_broken_promise(
    program: Program, rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(rclone, monkeypatch)
    ran = program.run("init", f"s3://{rclone.bucket}/registry")
    assert ran.code == 9
    assert ran.errors.startswith(f"error[unsupported]: s3://{rclone.bucket}/registry cannot hold a registry: ")
    assert ran.errors.count("\n") == 1
    assert len(ran.errors) < 600  # a few lines of a terminal
    reasons = ran.errors.partition("registry: ")[2].partition("; do this")[0].split("; ")
    assert len(reasons) == len(set(reasons)) == 4
    program.fails(3, "models", "-r", f"s3://{rclone.bucket}/registry")


def test_a_server_is_asked_no_more_often_than_the_protocol_needs(
    program: Program, weed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def requests(*arguments: str | Path) -> int:
        proxy.asked.clear()
        program.ok(*arguments)
        return len(proxy.asked)

    files = tmp_path / "files"
    files.mkdir()
    (files / "README.md").write_text("# A model\n")
    with run_fault_proxy(weed) as proxy:
        use(proxy.server, monkeypatch)
        url = f"s3://{weed.bucket}/counted"
        monkeypatch.setenv("BUCKETRY_REGISTRY", url)
        assert requests("init", url) <= 90
        assert requests("doctor") <= 180
        published = []
        for number in range(3):
            (files / "weights.bin").write_bytes(b"weights of %d" % number)
            published.append(requests("publish", "acme/chat", files))
        assert published == [11, 7, 8]
        assert requests("promote", "acme/chat:1", "production") == 6
        approve = ("review", "approve", "acme/chat:3", "--comment", "looked at it")
        assert requests(*approve) == 7 + COMPARISON_REQUESTS
        assert requests("review", "reject", "acme/chat:2", "--comment", "worse") == 8  # one looks below serve/
        assert requests("promote", "acme/chat:3", "production") == 7
        assert requests("rollback", "acme/chat", "production") == 4
        assert requests("resolve", "acme/chat@production") == 2
        assert requests("pull", "acme/chat@production", tmp_path / "dest") == 4 + 2
        assert program.json("fsck")["findings"] == []
