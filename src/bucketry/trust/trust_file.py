"""Reads the trust file: whom this machine believes, about which models.

The trust file comes with the image or a read-only mount, never from the bucket. It is TOML:

    registry = "0b0c...-uuid"
    lowest_generation = 0              # of any alias that is resolved
    denied_manifests = []
    revoked_keys = []                  # fingerprints, as `ssh-keygen -l` shows them

    [[signer]]
    principal = "reviewer-a@example.org"
    allowed = 'reviewer-a@example.org namespaces="review@bucketry" ssh-ed25519 AAAA...'
    revoked = false                    # true: the approvals with these keys end, the refusals stay

    [[rule]]
    models = ["risk/*"]
    aliases = ["production"]
    approvals = 2
    by = ["reviewer-a@example.org", "reviewer-b@example.org"]
    separate_duties = true             # the publish must be signed too

A folder above the file is not looked at: a mounted volume often has one that others may write. Patterns are shell
globs on the whole name, where `*` matches `/` too; a model without a namespace is called `default/name` or `name`.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NoReturn

from bucketry.errors import BucketryError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.documents.reviews import parse_principal
from bucketry.schema.names import LARGEST_INTEGER, AliasName, Digest, ModelName, parse_digest
from bucketry.schema.text import displayable
from bucketry.trust.ssh.allowed_signers import AllowedSigner, parse_allowed_signer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.trust.ssh.keys import PublicKey

LARGEST_TRUST_FILE_BYTES = 1024 * 1024
MOST_ENTRIES = 4_096
"""How many signers, rules, patterns or digests one list of the file may have."""
ANY_ALIAS = "*"
"""Only a rule with this pattern speaks about versions that no alias named."""

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class TrustFileError(RejectedError):
    """The trust file is missing, empty, not protected or not understood: nothing can be trusted by it."""


@frozen
class TrustedSigner:
    """A key, whose it is, and whether it was taken out of use."""

    principal: str
    allowed: AllowedSigner
    revoked: bool = False


@frozen
class TrustRule:
    """How many approvals by which principals a version needs, for which models and aliases."""

    models: tuple[str, ...]
    aliases: tuple[str, ...]
    approvals: int
    by: frozenset[str]
    separate_duties: bool = False

    def speaks_about(self, model: ModelName, alias: AliasName | None) -> bool:
        """Return whether the rule is about a version of the model that was named by the alias, or by none."""
        names = (f"{model.namespace}/{model.name}", str(model))
        if not any(fnmatchcase(name, pattern) for pattern in self.models for name in names):
            return False
        if alias is None:
            return ANY_ALIAS in self.aliases
        return any(fnmatchcase(alias, pattern) for pattern in self.aliases)


@frozen
class TrustFile:
    """All that the trust file says. Where several rules speak about a version, each must hold."""

    registry: str
    signers: tuple[TrustedSigner, ...]
    rules: tuple[TrustRule, ...]
    lowest_generation: int = 0
    denied_manifests: frozenset[Digest] = frozenset()

    def signers_of(self, key: PublicKey) -> tuple[TrustedSigner, ...]:
        """Return the entries of a key: usually one, none for a stranger's."""
        return tuple(signer for signer in self.signers if signer.allowed.key == key)


def load_trust_file(path: Path) -> TrustFile:
    """Return the trust file; raise `TrustFileError` unless it is there, understood, and only its owner can write it.

    The owner must be root or the user who runs this.
    """
    try:
        with path.open("rb") as file:
            _check_protected(path, os.fstat(file.fileno()))
            body = file.read(LARGEST_TRUST_FILE_BYTES + 1)
    except OSError as error:
        raise TrustFileError(
            f"the trust file {path} cannot be read: {error.strerror}", advice="put it into the image, or mount it"
        ) from error
    if len(body) > LARGEST_TRUST_FILE_BYTES:
        raise TrustFileError(f"the trust file {path} is over the limit of {LARGEST_TRUST_FILE_BYTES:,} bytes")
    return parse_trust_file(body, what=f"the trust file {path}")


def parse_trust_file(body: bytes, *, what: str = "the trust file") -> TrustFile:
    """Return what a trust file's bytes say; raise `TrustFileError`."""
    try:
        document = tomllib.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError and no TOMLDecodeError
        raise TrustFileError(f"{what} is not TOML: {displayable(str(error))}") from error
    if not document:
        raise TrustFileError(f"{what} is empty", advice="write whose approvals count, as in the documentation")
    table = _Table(document, what)
    revoked = set(table.texts("revoked_keys", default=()))
    signers: list[TrustedSigner] = []
    for inner in table.tables("signer"):
        revoked |= set(inner.texts("revoked_keys", default=()))
        signers.extend(_read_signers(inner))
    strange = [fingerprint for fingerprint in revoked if not _FINGERPRINT.fullmatch(fingerprint)]
    if strange:
        table.fail(f'revoked_keys: "{displayable(strange[0])}" is not a fingerprint such as SHA256:...')
    trust = TrustFile(
        registry=table.text("registry"),
        signers=tuple(
            TrustedSigner(signer.principal, signer.allowed, signer.revoked or signer.allowed.key.fingerprint in revoked)
            for signer in signers
        ),
        rules=tuple(_read_rule(inner) for inner in table.tables("rule")),
        lowest_generation=table.integer("lowest_generation", least=0, default=0),
        denied_manifests=frozenset(table.digest(text) for text in table.texts("denied_manifests", default=())),
    )
    table.check_nothing_left()
    _check_consistent(table, trust)
    return trust


def _check_protected(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise TrustFileError(f"the trust file {path} is not a file")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise TrustFileError(
            f"the trust file {path} can be written by others than its owner", advice=f"run `chmod go-w {path}`"
        )
    if found.st_uid not in {0, os.geteuid()}:
        raise TrustFileError(
            f"the trust file {path} belongs to user {found.st_uid}, neither to root nor to us",
            advice=f"run `chown root {path}`",
        )


def _read_signers(table: _Table) -> list[TrustedSigner]:
    """Return the keys of one signer: a line of `allowed` for each."""
    principal = table.text("principal")
    written = (line.strip() for line in table.text("allowed").splitlines())
    lines = [line for line in written if line and not line.startswith("#")]
    revoked = table.flag("revoked")
    table.check_nothing_left()
    try:
        parse_principal(principal)
        signers = [TrustedSigner(principal, parse_allowed_signer(line), revoked) for line in lines]
    except BucketryError as error:
        table.fail(error.message, error)
    if not signers:
        table.fail(f"{principal} has no key")
    for signer in signers:
        if not signer.allowed.speaks_for(principal):
            table.fail(f"the allowed_signers line of {principal} is about somebody else")
        if signer.allowed.namespaces is None:
            table.fail(
                f"the allowed_signers line of {principal} does not say what the key may sign: write "
                'namespaces="review@bucketry" before the key, or "publish@bucketry" for a publisher'
            )
    return signers


def _read_rule(table: _Table) -> TrustRule:
    rule = TrustRule(
        models=table.texts("models"),
        aliases=table.texts("aliases"),
        approvals=table.integer("approvals", least=1),
        by=frozenset(table.texts("by")),
        separate_duties=table.flag("separate_duties"),
    )
    table.check_nothing_left()
    if not (rule.models and rule.aliases and rule.by):
        table.fail("models, aliases and by must each name something")
    if len(rule.by) < rule.approvals:
        table.fail(f"{rule.approvals} approvals by {len(rule.by)} principals can never be reached")
    return rule


def _check_consistent(table: _Table, trust: TrustFile) -> None:
    """Raise for a file that can only be a mistake, so that it is not taken for a policy."""
    if not trust.rules:
        table.fail("it has no [[rule]], so nothing could ever be accepted")
    known = {signer.principal for signer in trust.signers}
    for rule in trust.rules:
        unknown = sorted(rule.by - known)
        if unknown:
            table.fail(f'a rule counts on "{displayable(unknown[0])}", who is no signer')
    for signer in trust.signers:
        for other in trust.signers_of(signer.allowed.key):
            if other.principal != signer.principal:
                table.fail(f"{signer.principal} and {other.principal} share one key, so neither could be told apart")


class _Table:
    """A table of the file that is read once, field by field; what nobody asked for is an error."""

    def __init__(self, table: dict[str, Any], what: str) -> None:
        self._left = dict(table)
        self.what = what

    def text(self, name: str) -> str:
        value = self._left.pop(name, None)
        if not isinstance(value, str) or not value.strip():
            self.fail(f"{name} is missing, empty or no text")
        return value

    def texts(self, name: str, *, default: Sequence[str] | None = None) -> tuple[str, ...]:
        value = self._left.pop(name, default)
        if not isinstance(value, list | tuple) or len(value) > MOST_ENTRIES:
            self.fail(f"{name} is missing or no list")
        if not all(isinstance(item, str) and item for item in value):
            self.fail(f"{name} holds something that is no text")
        return tuple(value)

    def integer(self, name: str, *, least: int, default: int | None = None) -> int:
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST_INTEGER:
            self.fail(f"{name} is not a whole number of at least {least}")
        return value

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            self.fail(f"{name} is neither true nor false")
        return value

    def digest(self, text: str) -> Digest:
        try:
            return parse_digest(text.removeprefix("sha256:"))
        except BucketryError as error:
            self.fail(error.message, error)

    def tables(self, name: str) -> list[_Table]:
        value = self._left.pop(name, [])
        if (
            not isinstance(value, list)
            or len(value) > MOST_ENTRIES
            or not all(isinstance(item, dict) for item in value)
        ):
            self.fail(f"write each {name} under [[{name}]]")
        return [_Table(item, f"{self.what}: {name} {at}") for at, item in enumerate(value, start=1)]

    def check_nothing_left(self) -> None:
        if self._left:
            self.fail(f'"{displayable(next(iter(self._left)))}" is not understood')

    def fail(self, reason: str, cause: Exception | None = None) -> NoReturn:
        raise TrustFileError(f"{self.what}: {reason}", advice="mend the trust file") from cause
