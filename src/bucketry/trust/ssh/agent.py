"""Asks an ssh-agent for its keys, and to sign with one of them; a forwarded agent is the same.

The protocol is draft-ietf-sshm-ssh-agent: a length, a number that says what follows, and the fields.
"""

from __future__ import annotations

import socket
from contextlib import closing

from bucketry.errors import CorruptError, DeniedError, RejectedError, UnavailableError
from bucketry.frozen import frozen
from bucketry.trust.ssh.keys import RSA, PublicKey, decode_public_key
from bucketry.trust.ssh.wire import WireReader, wire_string, wire_uint32

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
RSA_SHA2_512 = 4

LARGEST_MESSAGE_BYTES = 256 * 1024
MOST_IDENTITIES = 1_024
LIST_SECONDS = 10.0
SIGN_SECONDS = 120.0
"""A person may have to confirm, type a PIN, or find the key that wants to be touched."""


@frozen
class AgentKey:
    """A key that the agent can sign with, and the comment that it carries there."""

    key: PublicKey
    comment: str


@frozen
class Agent:
    """An ssh-agent behind a Unix socket. Each call is one connection."""

    socket_path: str

    def list_keys(self) -> tuple[AgentKey, ...]:
        """Return the keys that we could sign with, in the agent's order; raise `UnavailableError` without an agent."""
        reader = self._ask(bytes([REQUEST_IDENTITIES]), IDENTITIES_ANSWER, seconds=LIST_SECONDS)
        count = reader.uint32()
        if count > MOST_IDENTITIES:
            raise CorruptError(f"the ssh-agent claims to hold {count:,} keys")
        found: list[AgentKey] = []
        for _ in range(count):
            blob, comment = reader.string(), reader.string().decode("utf-8", errors="replace")
            try:
                found.append(AgentKey(decode_public_key(blob), comment))
            except (RejectedError, CorruptError):
                continue  # a certificate, a weak key, or a kind that does not count here
        return tuple(found)

    def sign(self, key: PublicKey, signed: bytes) -> bytes:
        """Return the key's SSH signature over the bytes; raise `DeniedError` if the agent refuses."""
        flags = RSA_SHA2_512 if key.algorithm == RSA else 0
        request = bytes([SIGN_REQUEST]) + wire_string(key.blob) + wire_string(signed) + wire_uint32(flags)
        return self._ask(request, SIGN_RESPONSE, seconds=SIGN_SECONDS).string()

    def _ask(self, request: bytes, expected: int, *, seconds: float) -> WireReader:
        try:
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
                connection.settimeout(seconds)
                connection.connect(self.socket_path)
                connection.sendall(wire_string(request))
                length = int.from_bytes(_receive(connection, 4), "big")
                if not 0 < length <= LARGEST_MESSAGE_BYTES:
                    raise CorruptError(f"the ssh-agent answers with {length:,} bytes")
                answer = _receive(connection, length)
        except TimeoutError as error:
            raise UnavailableError(
                f"the ssh-agent did not answer within {seconds:.0f} s", advice="touch or confirm the key when asked"
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"there is no ssh-agent at SSH_AUTH_SOCK: {error.strerror or error}",
                advice="start one with `eval $(ssh-agent)` and `ssh-add`, or name a key file",
            ) from error
        if answer[0] != expected:
            raise DeniedError(
                "the ssh-agent refused", advice="unlock it (`ssh-add -X`), confirm when asked, or touch the key"
            )
        return WireReader(answer[1:], what="the ssh-agent's answer")


def _receive(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:  # bounded: every turn adds bytes, or ends
        part = connection.recv(count - len(received))
        if not part:
            raise CorruptError("the ssh-agent hung up in the middle of its answer")
        received += part
    return bytes(received)
