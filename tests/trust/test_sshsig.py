from __future__ import annotations

import base64
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from bucketry.errors import BucketryError, CorruptError, RejectedError, UsageError
from bucketry.trust.signing import load_signer
from bucketry.trust.ssh.keys import (
    MLDSA44_ED25519,
    SK_ECDSA,
    WEBAUTHN_ECDSA,
    SignatureRejectedError,
    decode_public_key,
    encode_public_key,
    parse_public_key,
)
from bucketry.trust.ssh.sshsig import BEGIN, END, decode_signature, encode_signature, signed_bytes, verify_signature
from bucketry.trust.ssh.wire import wire_mpint, wire_string, wire_uint32
from trust.openssh import KINDS, NEED_SSH_KEYGEN, does_ssh_keygen_verify, make_key, sign_with_ssh_keygen

PAYLOAD = b'{"predicate": "approve"}'
NAMESPACE = "review@bucketry"
VECTORS = json.loads(Path(__file__).with_name("security_key_vectors.json").read_text())
verify = partial(verify_signature, namespace=NAMESPACE)


def sign(private: ed25519.Ed25519PrivateKey, payload: bytes = PAYLOAD, namespace: str = NAMESPACE) -> str:
    key = decode_public_key(encode_public_key(private.public_key()))
    signature = private.sign(signed_bytes(payload, namespace=namespace))
    wrapped = wire_string(b"ssh-ed25519") + wire_string(signature)
    return encode_signature(key, wrapped, namespace=namespace)


def armor(body: bytes) -> str:
    return f"{BEGIN}\n{base64.b64encode(body).decode()}\n{END}\n"


def unarmor(armored: str) -> bytes:
    return base64.b64decode("".join(armored.splitlines()[1:-1]))


def edited(armored: str, old: bytes, new: bytes) -> str:
    """Return the signature with bytes inside its armor replaced."""
    body = unarmor(armored)
    assert old in body
    return armor(body.replace(old, new))


ARMORED = sign(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@NEED_SSH_KEYGEN
@pytest.mark.parametrize("kind", KINDS)
def test_what_we_sign_ssh_keygen_verifies(tmp_path: Path, kind: str) -> None:
    signer = load_signer(make_key(tmp_path, kind))
    armored = signer.sign(PAYLOAD, NAMESPACE)
    checked = partial(does_ssh_keygen_verify, tmp_path, signer.public_key.line, armored)
    assert checked(PAYLOAD, NAMESPACE)
    assert not checked(PAYLOAD + b" ", NAMESPACE)
    assert not checked(PAYLOAD, "publish@bucketry")


@NEED_SSH_KEYGEN
@pytest.mark.parametrize("kind", KINDS)
def test_what_ssh_keygen_signs_we_verify(tmp_path: Path, kind: str) -> None:
    path = make_key(tmp_path, kind)
    armored = sign_with_ssh_keygen(path, PAYLOAD, NAMESPACE)
    assert verify(armored, PAYLOAD) == load_signer(path).public_key
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify(armored, PAYLOAD + b" ")


@NEED_SSH_KEYGEN
def test_ed25519_signatures_are_the_very_bytes_of_ssh_keygen(tmp_path: Path) -> None:
    path = make_key(tmp_path)
    assert load_signer(path).sign(PAYLOAD, NAMESPACE) == sign_with_ssh_keygen(path, PAYLOAD, NAMESPACE)


@pytest.mark.parametrize("name", [name for name in VECTORS["signatures"] if "untouched" not in name])
def test_recorded_security_key_signatures_verify(name: str) -> None:
    vector = VECTORS["signatures"][name]
    assert verify(vector["sshsig"], VECTORS["payload"].encode()).line == vector["key"]
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify(vector["sshsig"], b"another text")


@pytest.mark.parametrize("name", [name for name in VECTORS["signatures"] if "untouched" in name])
def test_a_security_key_that_nobody_touched_does_not_count(name: str) -> None:
    with pytest.raises(SignatureRejectedError, match="not touched"):
        verify(VECTORS["signatures"][name]["sshsig"], VECTORS["payload"].encode())


@pytest.mark.parametrize("name", [name for name in VECTORS["signatures"] if "untouched" in name])
def test_the_touch_cannot_be_claimed_afterwards(name: str) -> None:
    untouched = VECTORS["signatures"][name]["sshsig"]
    body = unarmor(untouched)
    assert body[-5] == 0
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify(armor(body[:-5] + bytes([1]) + body[-4:]), VECTORS["payload"].encode())


def test_the_counter_and_the_application_of_a_security_key_are_signed() -> None:
    vector = VECTORS["signatures"]["sk-ssh-ed25519@openssh.com touched"]["sshsig"]
    body = unarmor(vector)
    later = armor(body[:-1] + bytes([body[-1] ^ 1]))
    for forged in (later, edited(vector, b"ssh:", b"web:")):
        with pytest.raises(SignatureRejectedError, match="over this text"):
            verify(forged, VECTORS["payload"].encode())


def test_a_signature_for_another_namespace_is_refused() -> None:
    with pytest.raises(SignatureRejectedError, match='for "review@bucketry", not for "publish@bucketry"'):
        verify_signature(ARMORED, PAYLOAD, namespace="publish@bucketry")


def test_a_renamed_namespace_breaks_the_signature() -> None:
    renamed = edited(ARMORED, b"review@bucketry", b"revieX@bucketry")
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify_signature(renamed, PAYLOAD, namespace="revieX@bucketry")


def test_both_hashes_of_the_payload_count_and_no_other() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    key = decode_public_key(encode_public_key(private.public_key()))
    signed = signed_bytes(PAYLOAD, namespace=NAMESPACE, hash_algorithm="sha256")
    wrapped = wire_string(b"ssh-ed25519") + wire_string(private.sign(signed))
    armored = encode_signature(key, wrapped, namespace=NAMESPACE, hash_algorithm="sha256")
    assert verify(armored, PAYLOAD) == key
    with pytest.raises(SignatureRejectedError, match="md5xxx hash does not count"):
        verify(edited(armored, b"sha256", b"md5xxx"), PAYLOAD)


def test_rsa_with_sha1_does_not_count() -> None:
    private = rsa.generate_private_key(65537, 3072)
    key = decode_public_key(encode_public_key(private.public_key()))
    signed = signed_bytes(PAYLOAD, namespace=NAMESPACE)
    raw = private.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    armored = encode_signature(key, wire_string(b"ssh-rsa") + wire_string(raw), namespace=NAMESPACE)
    with pytest.raises(SignatureRejectedError, match="RSA signature of the kind ssh-rsa does not count"):
        verify(armored, PAYLOAD)


def test_short_rsa_keys_are_refused() -> None:
    private = rsa.generate_private_key(65537, 2048)
    with pytest.raises(RejectedError, match="2,048 bits"):
        decode_public_key(encode_public_key(private.public_key()))


def test_a_signature_of_one_kind_under_a_key_of_another_is_refused() -> None:
    renamed = edited(
        ARMORED,
        wire_string(b"ssh-ed25519") + (64).to_bytes(4, "big"),
        wire_string(b"ssh-ed25518") + (64).to_bytes(4, "big"),
    )
    with pytest.raises(SignatureRejectedError, match="is none of a ssh-ed25519 key"):
        verify(renamed, PAYLOAD)


@pytest.mark.parametrize(
    ("armored", "reason"),
    [
        ("", "does not stand between"),
        (f"{BEGIN}\n!!!!\n{END}\n", "not base64"),
        (f"{BEGIN}\nAAAA\n{END}\n", "cut short"),
        (f"{BEGIN}\n{'A' * 20_000}\n{END}\n", "over the limit"),
        (f"-----BEGIN PGP SIGNATURE-----\nAAAA\n{END}\n", "does not stand between"),
    ],
)
def test_what_is_no_signature_is_corrupt(armored: str, reason: str) -> None:
    with pytest.raises(CorruptError, match=reason):
        verify(armored, PAYLOAD)


def test_bytes_after_the_end_are_corrupt() -> None:
    body = unarmor(ARMORED) + b"\0"
    with pytest.raises(CorruptError, match="after its end"):
        decode_signature(armor(body))


def test_a_field_that_claims_to_be_huge_is_corrupt() -> None:
    with pytest.raises(CorruptError, match="limit"):
        decode_signature(armor(b"SSHSIG" + bytes([0, 0, 0, 1]) + bytes([255] * 8)))


def test_a_reserved_field_that_says_something_is_refused() -> None:
    empty, full = (
        wire_string(NAMESPACE.encode()) + wire_string(b""),
        wire_string(NAMESPACE.encode()) + wire_string(b"x"),
    )
    with pytest.raises(SignatureRejectedError, match="reserved field"):
        verify(edited(ARMORED, empty, full), PAYLOAD)


def test_an_empty_namespace_cannot_be_signed_for() -> None:
    with pytest.raises(UsageError, match="namespace"):
        signed_bytes(PAYLOAD, namespace="")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place: int, change: int) -> None:
    body = bytearray(unarmor(ARMORED))
    body[place % len(body)] ^= change
    with pytest.raises(BucketryError):
        verify(armor(bytes(body)), PAYLOAD)


APPLICATION = b"https://review.example.org"
ORIGIN = b"https://review.example.org"


def browser_signature(
    private: ec.EllipticCurvePrivateKey, *, flags: int = 0x05, extensions: bytes = b"", **said: bytes
) -> tuple[str, str]:
    """Return the key's line, and the armored signature that a page at `ORIGIN` makes with a FIDO key."""
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    blob = b"".join(map(wire_string, (SK_ECDSA.encode(), b"nistp256", point, said.get("application", APPLICATION))))
    key = decode_public_key(blob)
    challenge = said.get("challenge", base64.urlsafe_b64encode(signed_bytes(PAYLOAD, namespace=NAMESPACE)).rstrip(b"="))
    origin = said.get("origin", ORIGIN)
    client_data = said.get(
        "client_data",
        b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' + origin + b'","crossOrigin":false}',
    )
    parts = (hashlib.sha256(APPLICATION).digest(), bytes([flags]), wire_uint32(7), extensions)
    message = b"".join(parts) + hashlib.sha256(client_data).digest()
    r, s = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    raw = wire_string(WEBAUTHN_ECDSA.encode()) + wire_string(wire_mpint(r) + wire_mpint(s))
    raw += bytes([flags]) + wire_uint32(7) + b"".join(map(wire_string, (origin, client_data, extensions)))
    return key.line, encode_signature(key, raw, namespace=NAMESPACE)


BROWSER_KEY = ec.derive_private_key(20261129, ec.SECP256R1())
WELL_SIGNED: tuple[dict[str, Any], ...] = (
    {},
    {"flags": 0x01},
    {"flags": 0x85, "extensions": b"\xa1\x61x\xf5"},
    {"origin": b"http://localhost:8000"},
)
BADLY_SIGNED: tuple[dict[str, Any], ...] = (
    {"flags": 0x45},  # attested data, which nobody looks at
    {"flags": 0x85},  # extensions that are not there
    {"extensions": b"\xa1\x61x\xf5"},  # extensions that no flag tells of
    {"challenge": base64.urlsafe_b64encode(b"another text").rstrip(b"=")},
    {"challenge": base64.urlsafe_b64encode(signed_bytes(PAYLOAD, namespace="publish@bucketry")).rstrip(b"=")},
    {"origin": b'https://a","x":"'},
    {"client_data": b'{"type":"webauthn.create"}'},
    {"application": b"ssh:"},
)


@NEED_SSH_KEYGEN
@pytest.mark.parametrize("how", WELL_SIGNED)
def test_a_key_that_signed_in_a_browser_counts_here_and_for_ssh_keygen(tmp_path: Path, how: dict[str, Any]) -> None:
    line, armored = browser_signature(BROWSER_KEY, **how)
    assert verify(armored, PAYLOAD).line == line
    assert does_ssh_keygen_verify(tmp_path, line, armored, PAYLOAD, NAMESPACE)
    with pytest.raises(SignatureRejectedError, match="another text"):
        verify(armored, PAYLOAD + b" ")


@NEED_SSH_KEYGEN
@pytest.mark.parametrize("how", BADLY_SIGNED)
def test_what_a_browser_signed_otherwise_counts_neither_here_nor_for_ssh_keygen(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    line, armored = browser_signature(BROWSER_KEY, **how)
    with pytest.raises(SignatureRejectedError):
        verify(armored, PAYLOAD)
    assert not does_ssh_keygen_verify(tmp_path, line, armored, PAYLOAD, NAMESPACE)


def test_a_browser_whose_key_nobody_touched_does_not_count() -> None:
    with pytest.raises(SignatureRejectedError, match="not touched"):
        verify(browser_signature(BROWSER_KEY, flags=0x04)[1], PAYLOAD)


def composite_signature(label: bytes = b"COMPSIG-MLDSA44-Ed25519-SHA512") -> tuple[str, str]:
    """Return the line and a signature of an ML-DSA-44 and Ed25519 key, as OpenSSH 10.4 makes them.

    Its source: draft-miller-sshm-mldsa44-ed25519-composite-sigs-00.
    """
    first = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
    second = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    both = first.public_key().public_bytes_raw() + second.public_key().public_bytes_raw()
    key = decode_public_key(wire_string(MLDSA44_ED25519.encode()) + wire_string(both))
    digest = hashlib.sha512(signed_bytes(PAYLOAD, namespace=NAMESPACE)).digest()
    message = b"CompositeAlgorithmSignatures2025" + label + bytes([0]) + digest
    raw = first.sign(message, label) + second.sign(message)
    return key.line, encode_signature(
        key, wire_string(MLDSA44_ED25519.encode()) + wire_string(raw), namespace=NAMESPACE
    )


def test_a_post_quantum_key_counts_if_both_halves_signed() -> None:
    line, armored = composite_signature()
    assert verify(armored, PAYLOAD).line == line
    assert len(armored) < 8_192
    assert parse_public_key(line)[0] == verify(armored, PAYLOAD)
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify(armored, PAYLOAD + b" ")
    body = unarmor(armored)
    for place in (-1, -65, -2_000):  # the ed25519 half, the last and the middle of the ML-DSA half
        forged = bytearray(body)
        forged[place] ^= 1
        with pytest.raises(SignatureRejectedError, match="over this text"):
            verify(armor(bytes(forged)), PAYLOAD)


def test_a_composite_signature_for_another_use_does_not_count() -> None:
    with pytest.raises(SignatureRejectedError, match="over this text"):
        verify(composite_signature(b"COMPSIG-MLDSA65-Ed25519-SHA512")[1], PAYLOAD)


@pytest.mark.parametrize("length", [0, 31, 1_312, 1_343, 1_345])
def test_a_composite_key_of_another_length_is_malformed(length: int) -> None:
    with pytest.raises(CorruptError, match="malformed"):
        decode_public_key(wire_string(MLDSA44_ED25519.encode()) + wire_string(bytes(length)))


@NEED_SSH_KEYGEN
def test_zeros_that_a_number_does_not_need_are_read_as_ssh_keygen_reads_them(tmp_path: Path) -> None:
    private = ec.derive_private_key(1, ec.SECP256R1())
    key = decode_public_key(encode_public_key(private.public_key()))
    der = private.sign(signed_bytes(PAYLOAD, namespace=NAMESPACE), ec.ECDSA(hashes.SHA256()))
    r, s = (wire_string(bytes(2) + number.to_bytes(32, "big")) for number in decode_dss_signature(der))
    raw = wire_string(key.algorithm.encode()) + wire_string(r + s)
    armored = encode_signature(key, raw, namespace=NAMESPACE)
    assert does_ssh_keygen_verify(tmp_path, key.line, armored, PAYLOAD, NAMESPACE)
    assert verify(armored, PAYLOAD) == key


@NEED_SSH_KEYGEN
def test_an_rsa_signature_without_its_leading_zeros_is_read_as_ssh_keygen_reads_it(tmp_path: Path) -> None:
    private = rsa.generate_private_key(65537, 3072)
    key = decode_public_key(encode_public_key(private.public_key()))
    for number in range(4_000):
        payload = b"%d" % number
        raw = private.sign(signed_bytes(payload, namespace=NAMESPACE), padding.PKCS1v15(), hashes.SHA512())
        if not raw[0]:
            break
    signature = wire_string(b"rsa-sha2-512") + wire_string(raw.lstrip(bytes(1)))
    armored = encode_signature(key, signature, namespace=NAMESPACE)
    assert does_ssh_keygen_verify(tmp_path, key.line, armored, payload, NAMESPACE)
    assert verify(armored, payload) == key
