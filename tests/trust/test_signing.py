from __future__ import annotations

import shutil
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, DeniedError, NotFoundError, UnavailableError, UsageError
from bucketry.trust.signing import AgentSigner, FileSigner, find_signer, load_signer
from bucketry.trust.ssh import agent as agent_module
from bucketry.trust.ssh.agent import Agent
from bucketry.trust.ssh.sshsig import verify_signature
from trust.openssh import KINDS, NEED_SSH_AGENT, NEED_SSH_KEYGEN, make_key, run_agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trust.openssh import RunningAgent

pytestmark = [NEED_SSH_KEYGEN, NEED_SSH_AGENT]
PAYLOAD, NAMESPACE = b"a decision", "review@bucketry"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningAgent]:
    with run_agent(tmp_path) as running:
        monkeypatch.setenv("SSH_AUTH_SOCK", running.socket_path)
        yield running


def put_usual(home: Path, key: Path, name: str) -> None:
    for suffix in ("", ".pub"):
        shutil.copy(f"{key}{suffix}", home / ".ssh" / f"{name}{suffix}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_the_agent_signs(tmp_path: Path, agent: RunningAgent, kind: str) -> None:
    path = make_key(tmp_path, kind)
    agent.add(path)
    signer = find_signer()
    assert isinstance(signer, AgentSigner)
    armored = signer.sign(PAYLOAD, NAMESPACE)
    assert verify_signature(armored, PAYLOAD, namespace=NAMESPACE) == load_signer(path).public_key


def test_the_agents_only_ed25519_key_is_the_usual_one(tmp_path: Path, agent: RunningAgent) -> None:
    rsa, ed25519 = make_key(tmp_path, "rsa-3072"), make_key(tmp_path)
    agent.add(rsa)
    agent.add(ed25519)
    assert find_signer().public_key == load_signer(ed25519).public_key


def test_of_several_ed25519_keys_the_agents_first_is_the_usual_one(tmp_path: Path, agent: RunningAgent) -> None:
    for comment in ("first", "second"):
        agent.add(make_key(tmp_path, comment=comment))
    held = Agent(agent.socket_path).list_keys()
    assert [entry.comment for entry in held] == ["first", "second"]
    assert find_signer().public_key == held[0].key


def test_a_key_is_found_by_its_comment_and_by_its_fingerprint(tmp_path: Path, agent: RunningAgent) -> None:
    paths = {comment: make_key(tmp_path, comment=comment) for comment in ("laptop", "desk")}
    for path in paths.values():
        agent.add(path)
    wanted = load_signer(paths["desk"]).public_key
    assert find_signer("desk").public_key == wanted
    assert find_signer(wanted.fingerprint).public_key == wanted


def test_a_comment_that_two_keys_share_names_neither(tmp_path: Path, agent: RunningAgent) -> None:
    for kind in ("ed25519", "ecdsa-256"):
        agent.add(make_key(tmp_path, kind, comment="same"))
    with pytest.raises(UsageError, match='2 keys in the ssh-agent are called "same"') as caught:
        find_signer("same")
    assert caught.value.advice.count("SHA256:") == 2


def test_a_public_key_file_picks_the_agents_key(tmp_path: Path, agent: RunningAgent) -> None:
    path = make_key(tmp_path)
    agent.add(path)
    path.unlink()
    assert isinstance(find_signer(f"{path}.pub"), AgentSigner)


def test_a_locked_file_whose_key_the_agent_holds_needs_no_passphrase(tmp_path: Path, agent: RunningAgent) -> None:
    path = make_key(tmp_path)
    agent.add(path)
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnot to be read\n")
    assert isinstance(find_signer(str(path)), AgentSigner)


def test_without_an_agent_the_usual_file_signs(tmp_path: Path, home: Path) -> None:
    put_usual(home, make_key(tmp_path, "ecdsa-256"), "id_ecdsa")
    signer = find_signer()
    assert isinstance(signer, FileSigner)
    assert verify_signature(signer.sign(PAYLOAD, NAMESPACE), PAYLOAD, namespace=NAMESPACE) == signer.public_key


def test_an_empty_agent_and_a_dead_one_leave_it_to_the_usual_file(
    tmp_path: Path, home: Path, agent: RunningAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_usual(home, make_key(tmp_path), "id_ed25519")
    agent.lock()
    assert isinstance(find_signer(), FileSigner)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone.sock"))
    assert isinstance(find_signer(), FileSigner)


def test_a_usual_file_is_found_by_its_comment(tmp_path: Path, home: Path) -> None:
    put_usual(home, make_key(tmp_path, comment="laptop"), "id_ed25519")
    assert isinstance(find_signer("laptop"), FileSigner)


def test_a_locked_file_asks_for_its_passphrase_until_it_is_right(tmp_path: Path) -> None:
    path = make_key(tmp_path, passphrase="correct horse")
    answers, asked = iter(["wrong", "correct horse"]), []

    def ask(name: str) -> str:
        asked.append(name)
        return next(answers)

    signer = find_signer(str(path), ask_passphrase=ask)
    assert asked == [str(path), str(path)]
    assert verify_signature(signer.sign(PAYLOAD, NAMESPACE), PAYLOAD, namespace=NAMESPACE) == signer.public_key


def test_a_locked_file_is_denied_where_nobody_can_be_asked_and_after_three_wrong_answers(tmp_path: Path) -> None:
    path = make_key(tmp_path, passphrase="correct horse")
    with pytest.raises(DeniedError, match="is locked with a passphrase") as caught:
        find_signer(str(path))
    assert caught.value.advice == f"unlock it once with `ssh-add {path}`"
    with pytest.raises(DeniedError, match="was wrong 3 times") as caught:
        find_signer(str(path), ask_passphrase=lambda _: "wrong guess")
    assert "wrong guess" not in str(caught.value)


def test_no_key_at_all_says_what_to_do(home: Path) -> None:
    with pytest.raises(NotFoundError, match="no SSH key to sign with") as caught:
        find_signer()
    assert "ssh-keygen -t ed25519" in caught.value.advice
    assert str(home) in str(caught.value)


def test_an_unknown_name_says_where_it_was_looked_for(agent: RunningAgent) -> None:
    assert agent.socket_path
    with pytest.raises(NotFoundError, match="none of the 0 keys in the ssh-agent"):
        find_signer("nobody")


def test_a_file_that_is_no_key_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError, match="not a private key"):
        find_signer(str(tmp_path / "notes.txt"))


def test_a_public_key_without_its_private_one_says_so(tmp_path: Path) -> None:
    path = make_key(tmp_path)
    path.unlink()
    with pytest.raises(NotFoundError, match="neither in the ssh-agent nor beside it"):
        find_signer(f"{path}.pub")


def test_a_key_that_left_the_agent_is_denied(tmp_path: Path, agent: RunningAgent) -> None:
    agent.add(make_key(tmp_path))
    signer = find_signer()
    agent.lock()
    with pytest.raises(DeniedError, match="the ssh-agent refused"):
        signer.sign(PAYLOAD, NAMESPACE)


def test_an_agent_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "LIST_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "mute.sock"))
        listening.listen()
        with pytest.raises(UnavailableError, match="did not answer"):
            Agent(str(tmp_path / "mute.sock")).list_keys()


@pytest.mark.parametrize(
    "answer", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x05\x0c\xff\xff\xff\xff", b"\0\0\0\x09\x0c"]
)
def test_an_agent_that_answers_nonsense_is_an_error_and_no_crash(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "odd.sock"))
        listening.listen()

        def reply() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(CorruptError):
            Agent(str(tmp_path / "odd.sock")).list_keys()
        thread.join()
