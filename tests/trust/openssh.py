"""The real OpenSSH programs, for tests of interchange: keys are made, texts signed and verified by ssh-keygen."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEED_SSH_KEYGEN = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
NEED_SSH_AGENT = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="ssh-agent is not installed")
KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072")


def make_key(folder: Path, kind: str = "ed25519", *, passphrase: str = "", comment: str = "") -> Path:
    """Return the private key's file; the public key lies beside it."""
    path = folder / f"id_{kind}_{comment or 'key'}"
    algorithm, _, bits = kind.partition("-")
    size = ["-b", bits] if bits else []
    run("ssh-keygen", "-q", "-t", algorithm, *size, "-N", passphrase, "-C", comment, "-f", str(path))
    return path


def sign_with_ssh_keygen(key: Path, payload: bytes, namespace: str) -> str:
    program = ("ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key))
    return run(*program, given=payload).stdout.decode()


def does_ssh_keygen_verify(folder: Path, public: str, armored: str, payload: bytes, namespace: str) -> bool:
    (folder / "allowed").write_text(f"ada@example.org {public}\n")
    (folder / "payload.sig").write_text(armored)
    program = ("ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", "ada@example.org")
    done = subprocess.run(
        [*program, "-n", namespace, "-s", str(folder / "payload.sig")],
        check=False,
        input=payload,
        capture_output=True,
        timeout=20,
    )
    return done.returncode == 0


@dataclass(frozen=True)
class RunningAgent:
    socket_path: str

    def add(self, key: Path) -> None:
        run("ssh-add", "-q", str(key), agent=self.socket_path)

    def lock(self) -> None:
        """Take every key away."""
        run("ssh-add", "-q", "-D", agent=self.socket_path)


@contextmanager
def run_agent(folder: Path) -> Iterator[RunningAgent]:
    """Run an ssh-agent of our own."""
    path = str(folder / "agent.sock")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it says so when it listens
        try:
            yield RunningAgent(path)
        finally:
            process.terminate()


def run(*command: str, given: bytes = b"", agent: str = "") -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "SSH_AUTH_SOCK": agent}
    return subprocess.run(command, check=True, input=given, capture_output=True, timeout=60, env=environment)
