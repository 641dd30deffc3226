"""Reads an SSH public key, and verifies that it signed some bytes.

Ed25519, ECDSA over P-256, P-384 and P-521, RSA of at least 3,072 bits with SHA-2, ML-DSA-44 with Ed25519, and the
two kinds of FIDO key (`sk-`), which also sign that somebody touched them; such a key may have signed in a browser
(`webauthn-`). Nothing here says whom a key belongs to.

What `ssh-keygen -Y verify` accepts is accepted, but for RSA keys below 3,072 bits and FIDO keys that nobody touched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import field
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.trust.ssh.wire import WireReader, wire_mpint, wire_string, wire_uint32

ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
WEBAUTHN_ECDSA = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
"""No kind of key, but of signature: by an `sk-ecdsa` key, through a browser."""
MLDSA44_ED25519 = "ssh-mldsa44-ed25519@openssh.com"
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
ALGORITHMS = frozenset({ED25519, RSA, SK_ED25519, SK_ECDSA, MLDSA44_ED25519, *(f"{ECDSA}{curve}" for curve in _CURVES)})
_MLDSA44_KEY_BYTES = 1_312
_MLDSA44_SIGNATURE_BYTES = 2_420
_COMPOSITE_LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
_ATTESTED, _WITH_EXTENSIONS = 0x40, 0x80


class _MldsaKey(Protocol):
    """What `cryptography` calls MLDSA44PublicKey, in the versions that have it."""

    def verify(self, signature: bytes, data: bytes, context: bytes | None = None) -> None: ...


@frozen
class CompositeVerifier:
    """An ML-DSA-44 and an Ed25519 key, both of which must have signed (draft-ietf-lamps-pq-composite-sigs)."""

    mldsa: _MldsaKey
    ed25519: ed25519.Ed25519PublicKey

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise `InvalidSignature` unless both signed the message."""
        digest = hashlib.sha512(message).digest()
        no_context = b"\0"
        both = b"CompositeAlgorithmSignatures2025" + _COMPOSITE_LABEL + no_context + digest
        self.mldsa.verify(signature[:_MLDSA44_SIGNATURE_BYTES], both, _COMPOSITE_LABEL)
        self.ed25519.verify(signature[_MLDSA44_SIGNATURE_BYTES:], both)


Verifier = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey | CompositeVerifier


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
        elif algorithm == MLDSA44_ED25519:
            verifier = _read_composite(reader.string())
        elif algorithm == SK_ECDSA or (algorithm in ALGORITHMS and algorithm.startswith(ECDSA)):
            verifier = _read_ecdsa(reader, "nistp256" if algorithm == SK_ECDSA else algorithm.removeprefix(ECDSA))
        else:
            raise RejectedError(
                f"keys of the kind {algorithm[:80]} are not accepted",
                advice="use an ed25519, ecdsa, rsa, ed25519-sk, ecdsa-sk or mldsa44-ed25519 key",
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
    message = signed if key.application is None else _touched_message(key.application, algorithm, reader, signed)
    reader.end()
    try:
        _verify(key, algorithm, raw, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureRejectedError(f"the signature is not the one of key {key.fingerprint} over this text") from error


def _touched_message(application: bytes, algorithm: str, reader: WireReader, signed: bytes) -> bytes:
    """Return what a FIDO key signs for a text: not the text, but who asked, whether it was touched, and how often."""
    flags, counter = reader.byte(), reader.uint32()
    extensions, asked = b"", signed
    if algorithm == WEBAUTHN_ECDSA:
        origin, asked, extensions = reader.string(), reader.string(), reader.string()
        _check_browser(origin, asked, signed)
        if flags & _ATTESTED or bool(flags & _WITH_EXTENSIONS) != bool(extensions):
            raise SignatureRejectedError("the browser's signature contradicts its own flags")
    if not flags & PRESENCE:
        raise SignatureRejectedError(
            "the security key was not touched for this signature", advice="sign again with a key that asks for it"
        )
    parts = (hashlib.sha256(application).digest(), bytes([flags]), wire_uint32(counter), extensions)
    return b"".join(parts) + hashlib.sha256(asked).digest()


def _check_browser(origin: bytes, client_data: bytes, signed: bytes) -> None:
    """Raise unless what the browser signed begins as it must for this text; what follows the origin does not count.

    Compared as bytes, in the one order in which browsers write it: parsing it would give one text two readings.
    """
    challenge = base64.urlsafe_b64encode(signed).rstrip(b"=")
    begin = b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' + origin + b'"'
    if b'"' in origin or not client_data.startswith(begin):
        raise SignatureRejectedError("the browser signed another text")


def _verify(key: PublicKey, algorithm: str, raw: bytes, message: bytes) -> None:
    verifier = key.verifier
    if isinstance(verifier, rsa.RSAPublicKey):
        if algorithm not in _RSA_HASHES:
            raise SignatureRejectedError(
                f"an RSA signature of the kind {algorithm[:80]} does not count", advice="sign with rsa-sha2-512"
            )
        whole = raw.rjust((verifier.key_size + 7) // 8, b"\0")  # some agents leave leading zeros out
        verifier.verify(whole, message, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        return
    if algorithm != key.algorithm and (algorithm, key.algorithm) != (WEBAUTHN_ECDSA, SK_ECDSA):
        raise SignatureRejectedError(f"a signature of the kind {algorithm[:80]} is none of a {key.algorithm} key")
    if not isinstance(verifier, ec.EllipticCurvePublicKey):
        verifier.verify(raw, message)
        return
    numbers = WireReader(raw, what="a signature")
    der = encode_dss_signature(numbers.padded_mpint(), numbers.padded_mpint())
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


def _read_composite(raw: bytes) -> CompositeVerifier:
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa  # noqa: PLC0415 - not in every version

        first = mldsa.MLDSA44PublicKey.from_public_bytes(raw[:_MLDSA44_KEY_BYTES])
    except (ImportError, UnsupportedAlgorithm) as error:
        raise RejectedError(
            "this version of the cryptography library does not know ML-DSA keys", advice="install a newer one"
        ) from error
    return CompositeVerifier(first, ed25519.Ed25519PublicKey.from_public_bytes(raw[_MLDSA44_KEY_BYTES:]))


def _read_rsa(reader: WireReader) -> rsa.RSAPublicKey:
    exponent, modulus = reader.mpint(), reader.mpint()
    bits = modulus.bit_length()
    if not SMALLEST_RSA_BITS <= bits <= LARGEST_RSA_BITS or exponent.bit_length() > LONGEST_RSA_EXPONENT_BITS:
        raise RejectedError(
            f"an RSA key of {bits:,} bits is not accepted",
            advice=f"use ed25519, or RSA of at least {SMALLEST_RSA_BITS:,} bits",
        )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()
