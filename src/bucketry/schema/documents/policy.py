"""A policy: whose approval, and which gates, a version needs before people may serve it.

A policy states some keys and leaves others to the registry's default, key by key. A model that states any gate states
all of its gates: lists are never merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import CorruptError, RejectedError, UsageError
from bucketry.frozen import frozen
from bucketry.schema.codec import FORMAT, Document, decode, encode
from bucketry.schema.documents.gate_parsing import (
    check_keys,
    parse_gate,
    parse_stored_gate,
    read_aliases,
    read_choice,
    read_flag,
    read_metric_name,
    read_texts,
    read_whole,
)
from bucketry.schema.documents.gates import MOST_GATES, Gate, gate_document
from bucketry.schema.documents.head import MOST_HEADLINE_METRICS
from bucketry.schema.text import displayable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.schema.names import AliasName

SIGNATURES = ("optional", "required")
LARGEST_POLICY_BYTES = 64 * 1024
MOST_APPROVALS = 100
MOST_REVIEWERS = 256
MOST_DAYS = 36_500


@frozen
class Policy:
    """What must hold before a version counts as approved, and before a protected alias may name it.

    `reviewers` are principals, or patterns with `*`; none means everybody. `approval_expires_days` is None for
    approvals without an end. `unset` names the fields that this policy leaves to the default; they have the built-in
    values here. Made by hand it sets everything.
    """

    approvals_required: int = 0
    separate_duties: bool = False
    protected_aliases: tuple[AliasName, ...] = ()
    signatures: str = "optional"
    headline_metrics: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    approval_expires_days: int | None = None
    gates: tuple[Gate, ...] = ()
    unset: frozenset[str] = frozenset()
    extra: Mapping[str, object] = field(default_factory=dict)

    def over(self, default: Policy) -> Policy:
        """Return this policy with what it leaves open filled in from a default, key by key."""
        inherited: dict[str, Any] = {name: getattr(default, name) for name in self.unset}
        return replace(self, **inherited, unset=self.unset & default.unset, extra={**default.extra, **self.extra})

    def protects(self, alias: AliasName) -> bool:
        """Return whether an alias names approved versions only."""
        return alias in self.protected_aliases

    @property
    def needs_signed_publish(self) -> bool:
        """Whether nobody can approve a version whose publish was not signed: its author is only claimed."""
        return self.signatures == "required" and self.separate_duties


def parse_policy_toml(text: str, *, what: str) -> Policy:
    """Return the policy of a file that a user gives; raise `UsageError` naming the file, the key and what is wrong."""
    import tomllib  # noqa: PLC0415 - only `policy set` reads TOML

    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_POLICY_BYTES:
        raise UsageError(f"{what} is larger than {LARGEST_POLICY_BYTES:,} bytes", advice="state fewer or shorter rules")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError and no TOMLDecodeError
        raise UsageError(f"{what} is not TOML: {error}", advice="see `bucketry policy --help`") from error
    if "gate" in table and "gates" in table:
        raise UsageError(f"{what} has both gate and gates", advice="write each gate as [[gate]]")
    check_keys(table, (*_READERS, "gate"), what=what)
    gates = {"gates": table["gate"]} if "gate" in table else {}
    return _read({name: value for name, value in table.items() if name != "gate"} | gates, what, parse_gate)


def encode_policy(policy: Policy) -> bytes:
    """Return the bytes of a policy document: only what the policy sets. Raises `RejectedError` for one too large."""
    body = encode(dict(policy.extra) | {"format": FORMAT} | policy_document(policy))
    if len(body) > LARGEST_POLICY_BYTES:
        raise RejectedError(f"the policy takes {len(body):,} bytes; the limit is {LARGEST_POLICY_BYTES:,}")
    return body


def check_policy(policy: object) -> Policy:
    """Return a policy that a program made by hand, if a reader would read it as it is; raise `UsageError`."""
    if not isinstance(policy, Policy):
        raise UsageError(f"{displayable(repr(policy)[:60])} is not a Policy", advice="make one with Policy(...)")
    for name in ("protected_aliases", "headline_metrics", "reviewers", "gates"):
        if not isinstance(getattr(policy, name), tuple):
            raise UsageError(f"policy: {name} is not a tuple")
    if not all(isinstance(gate, Gate) for gate in policy.gates):
        raise UsageError("policy: a gate is not one of those in bucketry.schema.documents.gates")
    if not isinstance(policy.extra, Mapping) or not isinstance(policy.unset, frozenset):
        raise UsageError("policy: extra is not a table, or unset no frozenset of names")
    body = encode_policy(policy)
    try:
        read = decode_policy(body, what="the policy")
    except CorruptError as error:
        raise UsageError(error.message, advice=error.advice) from error
    if encode_policy(read) != body:
        raise UsageError("the policy would not be read as it was given")
    return policy


def decode_policy(body: bytes, *, what: str) -> Policy:
    """Return the policy in a document; raise `CorruptError`. A gate that is not understood is kept, and fails."""
    document = decode(body, what=what)
    try:
        policy = _read(document, what, parse_stored_gate)
    except UsageError as error:
        raise CorruptError(error.message) from error
    known = {"format", "gates", *_READERS}
    return replace(policy, extra={name: value for name, value in document.items() if name not in known})


def policy_document(policy: Policy) -> Document:
    """Return what the policy sets, as JSON."""
    whole: Document = {
        "approvals_required": policy.approvals_required,
        "separate_duties": policy.separate_duties,
        "protected_aliases": list(policy.protected_aliases),
        "signatures": policy.signatures,
        "headline_metrics": list(policy.headline_metrics),
        "reviewers": list(policy.reviewers),
        "approval_expires_days": policy.approval_expires_days or 0,
        "gates": [gate_document(gate) for gate in policy.gates],
    }
    return {name: value for name, value in whole.items() if name not in policy.unset}


def _read(table: Mapping[str, object], what: str, read_gate: Callable[[object, str], Gate]) -> Policy:
    stated: dict[str, Any] = {
        name: read(table[name], f"{what}: {name}") for name, read in _READERS.items() if name in table
    }
    if "gates" in table:
        listed = table["gates"]
        if not isinstance(listed, list) or len(listed) > MOST_GATES:
            raise UsageError(
                f"{what}: the gates are not a list of at most {MOST_GATES}", advice="write each as [[gate]]"
            )
        stated["gates"] = tuple(read_gate(item, f"{what}: gate {number}") for number, item in enumerate(listed, 1))
    return Policy(**stated, unset=frozenset({*_READERS, "gates"} - set(stated)))


def _read_reviewers(value: object, what: str) -> tuple[str, ...]:
    reviewers = read_texts(value, what, most=MOST_REVIEWERS)
    for reviewer in reviewers:
        if set(reviewer) & set("?[]"):
            raise UsageError(f"{what}: {reviewer!a} is neither a principal nor a pattern", advice="use * alone")
    return reviewers


def _read_headline(value: object, what: str) -> tuple[str, ...]:
    return tuple(read_metric_name(name, what) for name in read_texts(value, what, most=MOST_HEADLINE_METRICS))


_READERS: dict[str, Callable[[object, str], object]] = {
    "approvals_required": lambda value, what: read_whole(value, what, least=0, most=MOST_APPROVALS),
    "separate_duties": read_flag,
    "protected_aliases": read_aliases,
    "signatures": lambda value, what: read_choice(value, what, SIGNATURES),
    "headline_metrics": _read_headline,
    "reviewers": _read_reviewers,
    # 0 says "without an end", so that a model can take back what the default sets.
    "approval_expires_days": lambda value, what: read_whole(value, what, least=0, most=MOST_DAYS) or None,
}
"""How each key is read, but for the gates; the names are those of the fields."""

DEFAULT_POLICY = Policy()
"""What holds where nobody has set anything: no approvals, no gates, nothing protected."""
