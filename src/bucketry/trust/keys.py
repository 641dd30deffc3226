"""What is an SSH public key, and did it sign these bytes?

Ed25519, ECDSA over P-256, P-384 and P-521, RSA of at least 3,072 bits with SHA-2, and the two kinds of FIDO key
(`sk-`), which also sign that somebody touched them. Nothing here says whom a key belongs to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.trust.wire import WireReader, wire_mpint, wire_string, wire_uint32

ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
ECDSA = "ecdsa-sha2-"

SMALLEST_RSA_BITS = 3_072
LARGEST_RSA_BITS = 16_384
"""Beyond this a verification takes seconds, which a stranger could make us spend."""
LONGEST_RSA_EXPONENT_BITS = 64
LARGEST_KEY_BYTES = 4_096
LONGEST_KEY_LINE = 16_384
PRESENCE = 0x01
"""The flag of a FIDO signature that says that its key was touched."""

_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
_RSA_HASHES: dict[str, hashes.HashAlgorithm] = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
ALGORITHMS = frozenset({ED25519, RSA, SK_ED25519, SK_ECDSA, *(f"{ECDSA}{curve}" for curve in _CURVES)})

Verifier = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class SignatureRejectedError(RejectedError):
    """A signature is not over these bytes, or not made in a way that counts."""


@frozen
class PublicKey:
    """A public key; two are equal if their bytes on the wire are. `application` is what a FIDO key signs for."""

    algorithm: str
    blob: bytes
    verifier: Verifier = field(compare=False, repr=False)
    application: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows: `SHA256:` and the digest of the wire form."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode("ascii").rstrip("=")

    @property
    def line(self) -> str:
        """The key as a `.pub` file has it, without a comment."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode('ascii')}"


def decode_public_key(blob: bytes) -> PublicKey:
    """Return the key in its wire form; raise `CorruptError` for a malformed one, `RejectedError` for a weak one."""
    if len(blob) > LARGEST_KEY_BYTES:
        raise CorruptError(f"a public key of {len(blob):,} bytes is over the limit of {LARGEST_KEY_BYTES:,}")
    reader = WireReader(blob, what="a public key")
    algorithm = reader.text()
    application: bytes | None = None
    verifier: Verifier
    try:
        if algorithm in {ED25519, SK_ED25519}:
            verifier = ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
        elif algorithm == RSA:
            verifier = _read_rsa(reader)
        elif algorithm == SK_ECDSA or (algorithm in ALGORITHMS and algorithm.startswith(ECDSA)):
            verifier = _read_ecdsa(reader, "nistp256" if algorithm == SK_ECDSA else algorithm.removeprefix(ECDSA))
        else:
            raise RejectedError(
                f"keys of the kind {algorithm[:80]} are not accepted",
                advice="use an ed25519, ecdsa, rsa, ed25519-sk or ecdsa-sk key",
            )
    except ValueError as error:
        raise CorruptError("a public key is malformed") from error
    if algorithm in {SK_ED25519, SK_ECDSA}:
        application = reader.string()
    reader.end()
    return PublicKey(algorithm, blob, verifier, application)


def parse_public_key(line: str) -> tuple[PublicKey, str]:
    """Return the key in a line of a `.pub` file, and its comment; raise `UsageError` or `RejectedError`."""
    if len(line) > LONGEST_KEY_LINE:
        raise UsageError("this is not a public key: it is too long")
    algorithm, text, comment = (*line.split(maxsplit=2), "", "", "")[:3]
    try:
        key = decode_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, CorruptError) as error:
        raise UsageError(
            f'"{displayable(line[:40])}" is not a public key', advice="write it as in a .pub file: ssh-ed25519 AAAA..."
        ) from error
    if key.algorithm != algorithm:
        raise UsageError(f'"{displayable(algorithm[:40])}" is not the kind of the key that follows it')
    return key, comment.strip()


def encode_public_key(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    """Return the wire form of a key that is no FIDO key."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return wire_string(ED25519.encode()) + wire_string(key.public_bytes_raw())
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return wire_string(RSA.encode()) + wire_mpint(numbers.e) + wire_mpint(numbers.n)
    curve = next((name for name, (known, _) in _CURVES.items() if known.name == key.curve.name), None)
    if curve is None:
        raise RejectedError(f"keys over the curve {key.curve.name} are not accepted", advice="use ed25519")
    length = (key.curve.key_size + 7) // 8
    point = key.public_numbers()
    uncompressed = b"\x04" + point.x.to_bytes(length, "big") + point.y.to_bytes(length, "big")
    return wire_string(f"{ECDSA}{curve}".encode()) + wire_string(curve.encode()) + wire_string(uncompressed)


def check_key_signature(key: PublicKey, signature: bytes, signed: bytes) -> None:
    """Raise `SignatureRejectedError` unless the key signed these bytes, `CorruptError` for a malformed signature."""
    reader = WireReader(signature, what="a signature")
    algorithm, raw = reader.text(), reader.string()
    message = signed
    if key.application is not None:
        flags, counter = reader.byte(), reader.uint32()
        if not flags & PRESENCE:
            raise SignatureRejectedError(
                "the security key was not touched for this signature", advice="sign again with a key that asks for it"
            )
        parts = (hashlib.sha256(key.application).digest(), bytes([flags]), wire_uint32(counter))
        message = b"".join(parts) + hashlib.sha256(signed).digest()
    reader.end()
    try:
        _verify(key, algorithm, raw, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureRejectedError(f"the signature is not the one of key {key.fingerprint} over this text") from error


def _verify(key: PublicKey, algorithm: str, raw: bytes, message: bytes) -> None:
    verifier = key.verifier
    if isinstance(verifier, rsa.RSAPublicKey):
        if algorithm not in _RSA_HASHES:
            raise SignatureRejectedError(
                f"an RSA signature of the kind {algorithm[:80]} does not count", advice="sign with rsa-sha2-512"
            )
        verifier.verify(raw, message, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        return
    if algorithm != key.algorithm:
        raise SignatureRejectedError(f"a signature of the kind {algorithm[:80]} is none of a {key.algorithm} key")
    if isinstance(verifier, ed25519.Ed25519PublicKey):
        verifier.verify(raw, message)
        return
    numbers = WireReader(raw, what="a signature")
    der = encode_dss_signature(numbers.mpint(), numbers.mpint())
    numbers.end()
    hash_algorithm = next(hashing for curve, hashing in _CURVES.values() if curve.name == verifier.curve.name)
    verifier.verify(der, message, ec.ECDSA(hash_algorithm))


def _read_ecdsa(reader: WireReader, curve: str) -> ec.EllipticCurvePublicKey:
    if reader.text() != curve:
        raise CorruptError("a public key names two curves")
    point = reader.string()
    if point[:1] != b"\x04":
        raise CorruptError("a public key's point is compressed, which would give one key two fingerprints")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve][0], point)


def _read_rsa(reader: WireReader) -> rsa.RSAPublicKey:
    exponent, modulus = reader.mpint(), reader.mpint()
    bits = modulus.bit_length()
    if not SMALLEST_RSA_BITS <= bits <= LARGEST_RSA_BITS or exponent.bit_length() > LONGEST_RSA_EXPONENT_BITS:
        raise RejectedError(
            f"an RSA key of {bits:,} bits is not accepted",
            advice=f"use ed25519, or RSA of at least {SMALLEST_RSA_BITS:,} bits",
        )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
