"""Is every failure one clear line with its exit code, and is nothing lost or half there afterwards?"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bucketry.cli.commands import models as models_command
from bucketry.errors import ContendedError, UnavailableError
from bucketry.transfer.disk.hashing import Digester
from cli.harness import LONGEST_SECONDS, NEEDS_HANGUPS, PROGRAM, run_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bucketry.transfer.disk.hashing import FileDigest
    from cli.harness import Program

POLL_SECONDS = 0.02


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    return registry


@pytest.mark.parametrize(
    "arguments",
    [
        ("publish", "Acme/Chat", "x"),
        ("publish", "../chat", "x"),
        ("publish", "a/b/c", "x"),
        ("publish", "con", "x"),
        ("show", "acme/chat:0"),
        ("show", "acme/chat:01"),
        ("show", "acme/chat@v7"),
        ("show", "acme/chat@sha256:12"),
        ("promote", "acme/chat:1", "latest"),
        ("rollback", "acme/chat", "production", "--to", "x"),
        ("bogus",),
        ("show",),
        ("show", "acme/chat", "--bogus"),
        ("show", "acme/chat", "extra"),
        ("models", "--limit", "0"),
        ("pull", "acme/chat", "--verify", "none"),
        ("pull", "acme/chat", "--connections", "0"),
        ("pull", "acme/chat", "--limit", "-1"),
        ("cat", "acme/chat", "README.md", "--range", "5-2"),
        ("cat", "acme/chat", "README.md", "--range", "-"),
        ("cat", "acme/chat", "README.md", "--range", "11-"),
        ("cache", "prune", "--max-size", "many"),
        ("completion", "tcsh"),
        ("cache",),
        ("cache", "bogus"),
        ("--registry",),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(program: Program, published: Path, arguments: tuple[str, ...]) -> None:
    assert published.is_dir()
    assert "; do this: " in program.fails(2, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "acme/none"),
        ("show", "acme/chat:9"),
        ("show", "acme/chat@production"),
        ("resolve", "acme/chat@sha256:" + "0" * 64),
        ("versions", "acme/none"),
        ("audit", "acme/none"),
        ("aliases", "acme/none"),
        ("unset", "acme/chat", "production"),
        ("cat", "acme/chat", "none.txt"),
        ("pull", "acme/chat", "--include", "nothing*"),
        ("publish", "acme/chat", "no-such-file"),
        ("publish", "acme/chat", "README.md", "--metrics", "no-such-file"),
        ("publish", "acme/chat", "README.md", "--base", "acme/none", "--relation", "adapter"),
    ],
)
def test_what_is_not_there_is_not_found(
    program: Program, published: Path, files: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    assert published.is_dir()
    monkeypatch.chdir(files)
    program.fails(3, *arguments)


@pytest.mark.parametrize(
    "options",
    [
        ("--param", "no-equals-sign"),
        ("--param", "a=1", "--param", "a=2"),
        ("--dataset", "version=1"),
        ("--dataset", "name=x,rows=many"),
        ("--dataset", "name=x,colour=red"),
        ("--label", "no spaces=1"),
        ("--label", "long=" + "x" * 300),
        ("--base", "acme/chat:1"),
        ("--relation", "adapter"),
        ("--base", "acme/chat:1", "--relation", "cousin"),
        ("--idempotency-key", ""),
        ("--duration", "-1"),
    ],
)
def test_a_wrong_statement_publishes_nothing(
    program: Program, published: Path, files: Path, options: tuple[str, ...]
) -> None:
    assert published.is_dir()
    program.fails(2, "publish", "acme/chat", files, *options)
    assert len(program.json("versions", "acme/chat")) == 1


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '"text"', '{"auc": "high"}', '{"auc": NaN}', '{"metrics": [{"name": "a"}]}', "[" * 100, "\xff"],
)
def test_wrong_evidence_is_a_usage_error(program: Program, published: Path, files: Path, content: str) -> None:
    assert published.is_dir()
    evidence = files.parent / "evidence.json"
    evidence.write_bytes(content.encode("latin-1"))
    program.fails(2, "publish", "acme/chat", files, "--evidence", evidence)
    assert len(program.json("versions", "acme/chat")) == 1


def test_evidence_that_is_too_large_is_refused(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    evidence = files.parent / "evidence.json"
    with evidence.open("wb") as file:
        file.truncate(9 * 1024 * 1024)
    assert "is larger than" in program.fails(2, "publish", "acme/chat", files, "--metrics", evidence)


def test_what_is_no_plain_file_is_not_published(program: Program, published: Path, files: Path) -> None:
    assert published.is_dir()
    (files / "link").symlink_to("README.md")
    assert "symbolic link" in program.fails(2, "publish", "acme/chat", files)
    (files / "link").unlink()
    os.mkfifo(files / "pipe")
    assert "not a regular file" in program.fails(2, "publish", "acme/chat", files)
    (files / "pipe").unlink()
    assert "not a regular file" in program.fails(2, "publish", "acme/chat", "/dev/zero")
    empty = files.parent / "empty"
    empty.mkdir()
    assert "no file to publish" in program.fails(2, "publish", "acme/chat", empty)
    (files / "trailing ").write_text("x")
    program.fails(2, "publish", "acme/chat", files)
    (files / "trailing ").unlink()
    twin = files.parent / "README.md"
    twin.write_text("another")
    assert "would both be README.md" in program.fails(2, "publish", "acme/chat", files, twin)
    assert len(program.json("versions", "acme/chat")) == 1


def test_a_missing_registry_is_not_found(program: Program, tmp_path: Path) -> None:
    assert "bucketry init" in program.fails(3, "models", "-r", tmp_path / "none")
    (tmp_path / "plain").mkdir()
    for arguments in (("models",), ("show", "a:1"), ("promote", "a:1", "b"), ("doctor",), ("fsck",)):
        program.fails(3, *arguments, "-r", tmp_path / "plain")
    assert list((tmp_path / "plain").iterdir()) == []


@pytest.mark.parametrize("url", ["http://example.org/x", "s3://", "s3://key:secret@bucket", "file://host/x"])
def test_an_impossible_url_is_a_usage_error_without_its_secret(program: Program, url: str) -> None:
    assert "secret" not in program.fails(2, "models", "-r", url)
    assert "secret" not in program.fails(2, "init", url)


def test_no_registry_at_all_is_a_usage_error(program: Program) -> None:
    assert "BUCKETRY_REGISTRY" in program.fails(2, "models")


def test_a_newer_format_is_unsupported(program: Program, published: Path) -> None:
    _damage(published, b'"format":1', b'"format":2')
    assert "format 2" in program.fails(9, "show", "acme/chat")


@pytest.mark.parametrize(("old", "new"), [(b'"epoch"', b'"epoc"'), (b"{", b"["), (b"}", b"")])
def test_a_damaged_document_is_corrupt(program: Program, published: Path, old: bytes, new: bytes) -> None:
    _damage(published, old, new)
    for arguments in (("show", "acme/chat"), ("versions", "acme/chat"), ("publish", "acme/chat", published)):
        assert program.fails(8, *arguments)


def test_a_truncated_blob_is_never_delivered(program: Program, published: Path, tmp_path: Path) -> None:
    for blob in (published / "blobs" / "acme" / "chat" / "1").iterdir():
        blob.chmod(0o644)
        with blob.open("r+b") as file:
            file.truncate(3)
    program.fails(8, "pull", "acme/chat", tmp_path / "dest")
    assert not (tmp_path / "dest").exists()
    program.fails(8, "cat", "acme/chat", "weights.bin")


def test_a_file_that_changes_while_it_is_published_is_refused(
    program: Program, published: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Digester.digest

    def digest_then_change(digester: Digester, path: Path, advance: Callable[[int], None]) -> FileDigest:
        digest = original(digester, path, advance)
        if path.name == "weights.bin":
            path.write_bytes(b"changed meanwhile")
        return digest

    monkeypatch.setattr(Digester, "digest", digest_then_change)
    (files / "weights.bin").write_bytes(b"before")
    ran = program.run("publish", "acme/chat", files)
    assert ran.code not in {0, 1}
    assert "weights.bin" in ran.errors
    assert len(program.json("versions", "acme/chat")) == 1
    assert published.is_dir()


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ContendedError("x"), 5, "contended"),
        (UnavailableError("x"), 6, "unavailable"),
        (OSError(errno.ENOSPC, "No space left on device", "/f"), 6, "unavailable"),
        (PermissionError(errno.EACCES, "Permission denied", "/f"), 7, "denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/f"), 3, "not_found"),
        (KeyError("aws_secret_access_key=abc"), 1, "bug"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_kind_of_failure_has_its_code(
    program: Program, registry: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, kind: str
) -> None:
    assert registry.is_dir()

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(models_command, "list_models_found", fail)
    line = program.fails(code, "models")
    assert line.startswith(f"error[{kind}]: ")
    assert "secret" not in line
    verbose = program.run("models", "--verbose")
    assert verbose.code == code
    assert "Traceback" in verbose.errors


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGHUP, 129, "terminated", marks=NEEDS_HANGUPS),
        (signal.SIGQUIT, 131, "terminated"),
    ],
)
def test_a_signal_ends_the_run_with_one_line(
    registry: Path, files: Path, number: signal.Signals, code: int, kind: str
) -> None:
    with (files / "weights.bin").open("wb") as file:
        file.truncate(40 * 1024**3)  # a hole that takes long to hash
    with subprocess.Popen(
        [*PROGRAM, "publish", "acme/chat", str(files)], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            wait_for(registry / "heads", process)
            process.send_signal(number)
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
        finally:
            process.kill()  # or the copy of the hole fills the disk
    assert process.returncode == code
    assert errors.decode().startswith(f"error[{kind}]: ")
    assert errors.count(b"\n") == 1
    assert not (registry / "manifests").exists()  # the head is made first, and names no version


def wait_for(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has put something into the folder."""
    for _ in range(int(LONGEST_SECONDS / POLL_SECONDS)):
        if folder.is_dir() and any(folder.iterdir()):
            return
        assert process.poll() is None
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"nothing came to {folder}")


def test_a_reader_that_goes_away_is_no_noise(registry: Path) -> None:
    assert registry.is_dir()
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, "models", "--json"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_told(registry: Path) -> None:
    assert registry.is_dir()
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - no file, a device
        done = subprocess.run([*PROGRAM, "models"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 6
    assert done.stderr.startswith(b"error[unavailable]: no space left on device")
    assert done.stderr.count(b"\n") == 1


def test_an_error_needs_no_unicode_terminal(tmp_path: Path) -> None:
    ran = run_alone("models", "-r", tmp_path / "büro", environment={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 3
    assert b"b\\xfcro" in ran.stderr


def _damage(registry: Path, old: bytes, new: bytes) -> None:
    """Change the head's bytes in place, so that every link of the state shows it."""
    head = registry / "heads" / "acme" / "chat.json"
    body = head.read_bytes()
    changed = body.replace(old, new, 1)
    assert changed != body
    head.chmod(0o644)
    with head.open("r+b") as file:
        file.write(changed)
        file.truncate()
