"""Reads an SSHSIG and finds the key that made it.

A signature is an SSHSIG, as `ssh-keygen -Y sign` writes it. Nothing is trusted by this: it says which key signed, not
whose that key is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import textwrap
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.trust.ssh.keys import SignatureRejectedError, check_key_signature, decode_public_key
from bucketry.trust.ssh.wire import WireReader, wire_string, wire_uint32

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.trust.ssh.keys import PublicKey

MAGIC = b"SSHSIG"
VERSION = 1
BEGIN = "-----BEGIN SSH SIGNATURE-----"
END = "-----END SSH SIGNATURE-----"
LONGEST_ARMOR_CHARACTERS = 16_384
LONGEST_NAMESPACE = 128
ARMOR_COLUMNS = 70
HASHES: Mapping[str, Callable[[bytes], bytes]] = {
    "sha256": lambda payload: hashlib.sha256(payload).digest(),
    "sha512": lambda payload: hashlib.sha512(payload).digest(),
}
SIGNING_HASH = "sha512"


@frozen
class SshSignature:
    """An SSHSIG, parsed: the key that it names, what it is for, and the signature itself, unverified."""

    key: PublicKey
    namespace: str
    hash_algorithm: str
    signature: bytes


def verify_signature(armored: str, payload: bytes, *, namespace: str) -> PublicKey:
    """Return the key that signed the payload for this namespace.

    Raises `SignatureRejectedError` where the signature is for something else, or wrong, and `CorruptError` where it is
    not one.
    """
    parsed = decode_signature(armored)
    if parsed.namespace != namespace:
        raise SignatureRejectedError(
            f'the signature is for "{displayable(parsed.namespace)}", not for "{namespace}"',
            advice=f"sign with -n {namespace}",
        )
    check_key_signature(
        parsed.key, parsed.signature, signed_bytes(payload, namespace=namespace, hash_algorithm=parsed.hash_algorithm)
    )
    return parsed.key


def signed_bytes(payload: bytes, *, namespace: str, hash_algorithm: str = SIGNING_HASH) -> bytes:
    """Return what a key signs for a payload: never the payload itself, so that no signature has two meanings."""
    if not 0 < len(namespace) <= LONGEST_NAMESPACE or not (namespace.isascii() and namespace.isprintable()):
        raise UsageError("the namespace of a signature is 1 to 128 printable characters")
    digest = HASHES[hash_algorithm](payload)
    reserved = b""
    parts = (namespace.encode("ascii"), reserved, hash_algorithm.encode("ascii"), digest)
    return MAGIC + b"".join(wire_string(part) for part in parts)


def encode_signature(key: PublicKey, signature: bytes, *, namespace: str, hash_algorithm: str = SIGNING_HASH) -> str:
    """Return the armored SSHSIG around what a key answered for `signed_bytes`."""
    parts = (key.blob, namespace.encode("ascii"), b"", hash_algorithm.encode("ascii"), signature)
    body = MAGIC + wire_uint32(VERSION) + b"".join(wire_string(part) for part in parts)
    lines = textwrap.wrap(base64.b64encode(body).decode("ascii"), ARMOR_COLUMNS)
    return "\n".join([BEGIN, *lines, END, ""])


def decode_signature(armored: str) -> SshSignature:
    """Return the parts of an armored SSHSIG; raise `CorruptError`, or `RejectedError` for a kind that never counts."""
    reader = WireReader(_unarmored(armored), what="a signature")
    if reader.take(len(MAGIC)) != MAGIC:
        raise CorruptError("this is not an SSH signature")
    version = reader.uint32()
    if version != VERSION:
        raise SignatureRejectedError(f"an SSH signature of version {version} is not understood")
    key = decode_public_key(reader.string())
    namespace, reserved, hash_algorithm, signature = reader.text(), reader.string(), reader.text(), reader.string()
    reader.end()
    if reserved:
        raise SignatureRejectedError("the signature has a reserved field that nobody here understands")
    if hash_algorithm not in HASHES:
        raise SignatureRejectedError(f"a signature over a {displayable(hash_algorithm[:40])} hash does not count")
    return SshSignature(key, namespace, hash_algorithm, signature)


def _unarmored(armored: str) -> bytes:
    if len(armored) > LONGEST_ARMOR_CHARACTERS:
        raise CorruptError(f"a signature of {len(armored):,} characters is over the limit")
    lines = armored.strip().splitlines()
    if len(lines) < 3 or lines[0] != BEGIN or lines[-1] != END:
        raise CorruptError(f"this is not an SSH signature: it does not stand between {BEGIN} and {END}")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptError("the signature is not base64") from error
