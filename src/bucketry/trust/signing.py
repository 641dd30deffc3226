"""Finds the SSH key that signs here, in an agent or in a file, and signs with it.

The agent comes first, because its keys are unlocked, may be forwarded from the laptop, or lie in a security key.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from bucketry.errors import BucketryError, DeniedError, NotFoundError, UnavailableError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.trust.ssh.agent import Agent, AgentKey
from bucketry.trust.ssh.keys import ED25519, PublicKey, decode_public_key, encode_public_key, parse_public_key
from bucketry.trust.ssh.sshsig import encode_signature, signed_bytes
from bucketry.trust.ssh.wire import wire_mpint, wire_string
from bucketry.user_folders import expand_user, find_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""Which files in ~/.ssh are tried when no key is named and no agent has one."""
LARGEST_KEY_FILE_BYTES = 64 * 1024
MOST_PASSPHRASES = 3
_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signer(Protocol):
    """Something that signs with one key."""

    @property
    def public_key(self) -> PublicKey:
        """Whose signature it will be."""
        ...

    def sign(self, payload: bytes, namespace: str) -> str:
        """Return the armored SSHSIG over the payload; raise `DeniedError` or `UnavailableError`."""
        ...


@frozen
class AgentSigner:
    """A key in an ssh-agent. A security key waits to be touched."""

    agent: Agent
    public_key: PublicKey

    def sign(self, payload: bytes, namespace: str) -> str:
        """Return the armored SSHSIG over the payload."""
        signature = self.agent.sign(self.public_key, signed_bytes(payload, namespace=namespace))
        return encode_signature(self.public_key, signature, namespace=namespace)


@frozen
class FileSigner:
    """A private key that was read from a file."""

    private_key: PrivateKey
    public_key: PublicKey

    def sign(self, payload: bytes, namespace: str) -> str:
        """Return the armored SSHSIG over the payload."""
        private, signed = self.private_key, signed_bytes(payload, namespace=namespace)
        algorithm = self.public_key.algorithm.encode()
        if isinstance(private, ed25519.Ed25519PrivateKey):
            signature = private.sign(signed)
        elif isinstance(private, rsa.RSAPrivateKey):
            algorithm = b"rsa-sha2-512"
            signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA512())
        else:
            bits = private.curve.key_size
            hashing = hashes.SHA256() if bits <= 256 else hashes.SHA384() if bits <= 384 else hashes.SHA512()
            r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(hashing)))
            signature = wire_mpint(r) + wire_mpint(s)
        signature = wire_string(algorithm) + wire_string(signature)
        return encode_signature(self.public_key, signature, namespace=namespace)


def find_signer(key: str | None = None, *, ask_passphrase: Callable[[str], str] | None = None) -> Signer:
    """Return who signs with a key: a path to a private or `.pub` file, a fingerprint, or a comment in the agent.

    None is the usual key: the agent's ed25519 key if it has exactly one, else its first, else the first of the usual
    files in ~/.ssh. A key file that the agent holds too is signed with by the agent. `ask_passphrase` is called with
    the file's name. Raises `UsageError`, `NotFoundError`, `DeniedError` for a locked key, `UnavailableError` for an
    agent that does not answer.
    """
    if key is None:
        return _usual_signer(ask_passphrase)
    path = expand_user(key)
    if not key.startswith("SHA256:") and path.is_file():
        return _signer_of_file(path, ask_passphrase)
    return _signer_by_name(key, ask_passphrase)


def load_signer(path: Path, *, ask_passphrase: Callable[[str], str] | None = None) -> FileSigner:
    """Return who signs with a private key's file; raise `DeniedError` for a locked one, `UsageError` for no key."""
    body = _read(path)
    if b"PRIVATE KEY-----" not in body:
        raise UsageError(f"{path} is not a private key", advice="name a file that ssh-keygen wrote")
    load = load_ssh_private_key if body.lstrip().startswith(_OPENSSH) else load_pem_private_key
    try:
        private: object = load(body, None)
    except (TypeError, ValueError) as error:
        is_locked = isinstance(error, TypeError) or any(
            word in str(error).lower() for word in ("password", "encrypted")
        )
        if not is_locked:
            raise UsageError(f"{path} is not a private key that can be read") from error
        private = _unlock(load, body, path, ask_passphrase)
    except UnsupportedAlgorithm as error:
        raise _only_by_agent(path) from error
    if not isinstance(private, PrivateKey):
        raise _only_by_agent(path)
    return FileSigner(private, decode_public_key(encode_public_key(private.public_key())))


def _usual_signer(ask_passphrase: Callable[[str], str] | None) -> Signer:
    agent = _find_agent()
    held: Sequence[AgentKey] = ()
    if agent is not None:
        with suppress(UnavailableError):  # left over from a session that ended: a key file may do
            held = agent.list_keys()
    if agent is not None and held:
        best = [entry.key for entry in held if entry.key.algorithm == ED25519]
        return AgentSigner(agent, best[0] if len(best) == 1 else held[0].key)
    folder = _key_folder()
    where = str(folder) if find_home() else "the home folder, which this user has not,"
    for name in USUAL_FILES:
        if (folder / name).is_file():
            return load_signer(folder / name, ask_passphrase=ask_passphrase)
    raise NotFoundError(
        f"there is no SSH key to sign with: no ssh-agent holds one, and {where} has none of {', '.join(USUAL_FILES)}",
        advice="make one with `ssh-keygen -t ed25519`, load it with `ssh-add`, or name a key file",
    )


def _key_folder() -> Path:
    return (find_home() or Path(os.devnull)) / ".ssh"


def _signer_of_file(path: Path, ask_passphrase: Callable[[str], str] | None) -> Signer:
    beside = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    public: PublicKey | None = None
    if beside.is_file():
        public = parse_public_key(_read(beside).decode("utf-8", errors="replace"))[0]
    agent = _find_agent()
    if agent is not None and public is not None:
        with suppress(BucketryError):  # an agent that does not answer: the file itself may do
            if any(entry.key == public for entry in agent.list_keys()):
                return AgentSigner(agent, public)
    if path.suffix != ".pub":
        return load_signer(path, ask_passphrase=ask_passphrase)
    private = path.with_suffix("")
    if private.is_file():
        return load_signer(private, ask_passphrase=ask_passphrase)
    raise NotFoundError(
        f"the private key of {path} is neither in the ssh-agent nor beside it",
        advice="load it with `ssh-add`, or forward the agent that holds it",
    )


def _signer_by_name(name: str, ask_passphrase: Callable[[str], str] | None) -> Signer:
    agent = _find_agent()
    held = agent.list_keys() if agent is not None else ()
    found = [entry.key for entry in held if name in {entry.key.fingerprint, entry.comment}]
    if agent is not None and len(found) == 1:
        return AgentSigner(agent, found[0])
    if len(found) > 1:
        raise UsageError(
            f'{len(found)} keys in the ssh-agent are called "{displayable(name)}"',
            advice=f"name one by its fingerprint: {', '.join(key.fingerprint for key in found)}",
        )
    for usual in USUAL_FILES:
        beside = _key_folder() / f"{usual}.pub"
        if beside.is_file():
            public, comment = parse_public_key(_read(beside).decode("utf-8", errors="replace"))
            if name in {public.fingerprint, comment}:
                return _signer_of_file(beside, ask_passphrase)
    where = (
        f"none of the {len(held)} keys in the ssh-agent" if agent is not None else "no ssh-agent is running, and none"
    )
    raise NotFoundError(
        f'"{displayable(name)}" is not a file, and {where} has that fingerprint or comment',
        advice="see `ssh-add -l`, load the key with `ssh-add`, or name its file",
    )


def _find_agent() -> Agent | None:
    path = os.environ.get("SSH_AUTH_SOCK")
    return Agent(path) if path else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_KEY_FILE_BYTES + 1)
    except PermissionError as error:
        raise DeniedError(f"{path} may not be read", advice="sign as the user whose key it is") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > LARGEST_KEY_FILE_BYTES:
        raise UsageError(f"{path} is too large for a key")
    return body


def _unlock(
    load: Callable[[bytes, bytes], object], body: bytes, path: Path, ask_passphrase: Callable[[str], str] | None
) -> object:
    if ask_passphrase is None:
        raise DeniedError(
            f"{path} is locked with a passphrase, and nobody can be asked for it",
            advice=f"unlock it once with `ssh-add {path}`",
        )
    for _ in range(MOST_PASSPHRASES):
        try:
            return load(body, ask_passphrase(str(path)).encode("utf-8"))
        except (TypeError, ValueError):
            continue  # wrong: ask again
        except UnsupportedAlgorithm as error:
            raise _only_by_agent(path) from error
    raise DeniedError(f"the passphrase of {path} was wrong {MOST_PASSPHRASES} times")


def _only_by_agent(path: Path) -> UsageError:
    return UsageError(
        f"{path} is of a kind that only an ssh-agent can sign with (a security key, for one)",
        advice=f"load it with `ssh-add {path}`, then sign with it by its .pub file",
    )
