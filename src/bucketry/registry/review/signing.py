"""The way of a statement to its signature, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError, UsageError
from bucketry.schema.codec import Fields, decode_foreign
from bucketry.schema.documents.reviews import Review, Statement, decode_statement, encode_statement, read_review

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_SIGNATURE_FILE_BYTES = 1024 * 1024


Sign = Callable[[Statement], Review]
"""Makes a signed review of a statement. Whoever puts it on record checks the signature."""


def open_signer(key: str | None = None, *, ask_passphrase: Callable[[str], str] | None = None) -> Sign:
    """Return what signs with an SSH key: a file, or one of the agent's by name; None for the usual one.

    Raises `UsageError` or `DeniedError` at once where there is no such key, or it cannot sign.
    """
    from bucketry.trust.signing import find_signer  # noqa: PLC0415 - loads cryptography

    signer = find_signer(key, ask_passphrase=ask_passphrase)

    def sign(statement: Statement) -> Review:
        payload = encode_statement(statement)
        return Review(payload, signer.sign(payload, statement.namespace))

    return sign


def checked(review: Review) -> Review:
    """Return the review if its signature, where it has one, is over these bytes; raise `RejectedError`.

    Which person the key belongs to is not known here: whoever must know has a trust file.
    """
    if review.sshsig is not None:
        from bucketry.trust.ssh.sshsig import verify_signature  # noqa: PLC0415 - loads cryptography

        statement = decode_statement(review.payload, what="the decision")
        verify_signature(review.sshsig, review.payload, namespace=statement.namespace)
    return review


def read_signed(path: Path) -> Review:
    """Return a decision that was signed elsewhere; raise `UsageError`, `RejectedError` if the signature is not good.

    The file is either `{"payload", "sshsig"}` as JSON, or what `ssh-keygen -Y sign` wrote beside the payload: for
    `decision.json.sig`, the payload is `decision.json`.
    """
    try:
        review = checked(_read_review(path))
    except CorruptError as error:  # somebody's own file, nothing of the registry's
        raise UsageError(error.message, advice="sign exactly what --detached printed") from error
    if review.sshsig is None:
        raise UsageError(f"{path} is not signed", advice="sign what --detached printed, then submit it")
    return review


def _read_review(path: Path) -> Review:
    body = _read(path)
    if body.lstrip().startswith(b"{"):
        return read_review(Fields(decode_foreign(body, what=str(path)), what=str(path)))
    if path.suffix != ".sig":
        raise UsageError(f"{path} is not a signature", advice="name the .sig file that `ssh-keygen -Y sign` wrote")
    try:
        armored = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a signature", advice="name the .sig file itself") from error
    return Review(_read(path.with_suffix("")), armored)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_SIGNATURE_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > LARGEST_SIGNATURE_FILE_BYTES:
        raise UsageError(f"{path} is too large for a decision")
    if not body.strip():
        raise UsageError(f"{path} is empty", advice="sign again, and see whether the disk is full")
    return body
