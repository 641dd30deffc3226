"""Reads a line in the form of OpenSSH's `allowed_signers` file: whose key it is, for what, and when.

reviewer-a@example.org namespaces="review@bucketry",valid-after="20260101Z" ssh-ed25519 AAAA...
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, RejectedError
from bucketry.frozen import frozen
from bucketry.schema.text import displayable
from bucketry.trust.ssh.keys import ALGORITHMS, PublicKey, parse_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_LINE = 16_384
MOST_PATTERNS = 64
MOST_OPTIONS = 8

_FIRST_WORD = re.compile(r'("[^"]*"|[^\s"]+)\s+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(,|\s+)')
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@frozen
class AllowedSigner:
    """One line: for which principals a key speaks, in which namespaces (None: all), and between which moments.

    Both ends of the time belong to it, as OpenSSH has it.
    """

    principals: tuple[str, ...]
    key: PublicKey
    namespaces: tuple[str, ...] | None = None
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def speaks_for(self, principal: str) -> bool:
        """Return whether the line is about this principal."""
        return matches_patterns(principal, self.principals)

    def allows(self, namespace: str) -> bool:
        """Return whether the key may sign in this namespace."""
        return self.namespaces is None or matches_patterns(namespace, self.namespaces)

    def is_valid_at(self, moment: datetime) -> bool:
        """Return whether the key was good at a moment."""
        began = self.valid_after is None or moment >= self.valid_after
        return began and (self.valid_before is None or moment <= self.valid_before)


def parse_allowed_signer(line: str) -> AllowedSigner:
    """Return what a line says; raise `RejectedError` for anything that is not understood, a certificate authority too.

    A time has to be in UTC, with a Z at its end. To OpenSSH one without it is in the zone of the machine that reads it:
    the same file would trust a key longer in one container than in another.
    """
    if len(line) > LONGEST_LINE:
        raise RejectedError("an allowed_signers line is too long")
    text = line.strip()
    first = _FIRST_WORD.match(text)
    if first is None:
        raise _not_understood(line, "it has no principals")
    principals = tuple(first[1].strip('"').split(","))
    options, rest = _split_options(text[first.end() :], line)
    try:
        key, _ = parse_public_key(rest)
    except BucketryError as error:
        raise _not_understood(line, error.message) from error
    namespaces = options.get("namespaces")
    return AllowedSigner(
        principals=_checked(principals, line),
        key=key,
        namespaces=None if namespaces is None else _checked(tuple(namespaces.split(",")), line),
        valid_after=_parse_moment(options.get("valid-after"), line),
        valid_before=_parse_moment(options.get("valid-before"), line),
    )


def matches_patterns(text: str, patterns: Sequence[str]) -> bool:
    """Return whether a pattern matches and none that begins with `!` does; only `*` and `?` are special."""
    allowed = False
    for pattern in patterns:
        parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in pattern.removeprefix("!"))
        if re.fullmatch("".join(parts), text, re.DOTALL):
            if pattern.startswith("!"):
                return False
            allowed = True
    return allowed


def _split_options(text: str, line: str) -> tuple[dict[str, str], str]:
    """Return the options before a key, and the key."""
    options: dict[str, str] = {}
    at = 0
    if text.startswith(tuple(f"{algorithm} " for algorithm in ALGORITHMS)):
        return options, text
    for _ in range(MOST_OPTIONS):
        found = _OPTION.match(text, at)
        if found is None:
            break  # then it is the key's turn to be wrong
        name = found[1].lower()
        if name == "cert-authority":
            raise _not_understood(line, "certificate authorities are not supported; list each signer's own key")
        if name not in {"namespaces", "valid-after", "valid-before"} or found[2] is None:
            raise _not_understood(line, f'the option "{displayable(found[1])}" is unknown, or lacks its quoted value')
        if name in options:
            raise _not_understood(line, f"{name} stands there twice")
        options[name] = re.sub(r"\\(.)", r"\1", found[2])
        at = found.end()
        if found[3] != ",":
            break
    return options, text[at:]


def _parse_moment(text: str | None, line: str) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    if digits == text or len(digits) not in _TIMES or not (digits.isascii() and digits.isdigit()):
        raise _not_understood(
            line, f'"{displayable(text)}" is not a time in UTC; write YYYYMMDD or YYYYMMDDHHMMSS with a Z'
        )
    try:
        return datetime.strptime(digits, _TIMES[len(digits)]).replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise _not_understood(line, f'"{displayable(text)}" is not a time that any calendar has') from error


def _checked(patterns: tuple[str, ...], line: str) -> tuple[str, ...]:
    if len(patterns) > MOST_PATTERNS or not all(pattern.removeprefix("!") for pattern in patterns):
        raise _not_understood(line, "a list in it is empty, or too long")
    return patterns


def _not_understood(line: str, reason: str) -> RejectedError:
    return RejectedError(
        f'the allowed_signers line "{displayable(line.strip()[:60])}" is not understood: {reason}',
        advice='write PRINCIPAL namespaces="..." ssh-ed25519 AAAA..., as `man ssh-keygen` says',
    )
