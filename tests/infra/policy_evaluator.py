"""Decides by AWS's rules what a policy says of a request: as much of them as our policies use, and nothing else.

An explicit denial wins, then a permission; what nobody allows is denied. Every condition of a statement has to hold,
and of one operator every key. An operator, key or element that is not known here is an error, not a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KNOWN_KEYS = frozenset(
    {
        "aws:PrincipalArn",
        "aws:SecureTransport",
        "s3:ObjectCreationOperation",
        "s3:if-match",
        "s3:if-none-match",
        "s3:prefix",
        "s3:x-amz-copy-source",
    }
)
ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as IAM sees it: an action on a resource, and what is known besides."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def is_denied(policies: Sequence[Mapping[str, Any]], asked: Asked) -> bool:
    """Whether a statement forbids it."""
    return "Deny" in _effects(policies, asked)


def is_allowed(policies: Sequence[Mapping[str, Any]], asked: Asked) -> bool:
    """Whether a statement allows it, and none forbids it."""
    effects = _effects(policies, asked)
    return "Allow" in effects and "Deny" not in effects


def _effects(policies: Sequence[Mapping[str, Any]], asked: Asked) -> set[str]:
    return {
        statement["Effect"] for policy in policies for statement in policy["Statement"] if _is_about(statement, asked)
    }


def _is_about(statement: Mapping[str, Any], asked: Asked) -> bool:
    assert set(statement) <= ELEMENTS
    return (
        any(_fits(pattern, asked.action) for pattern in statement["Action"])
        and any(_fits(pattern, asked.resource) for pattern in statement["Resource"])
        and all(
            _holds(operator, key, values if isinstance(values, list) else [values], asked.context.get(key))
            for operator, wanted in statement.get("Condition", {}).items()
            for key, values in wanted.items()
        )
    )


def _holds(operator: str, key: str, values: list[str], found: str | None) -> bool:
    assert key in KNOWN_KEYS, key
    match operator:
        case "Null":
            return values == ["true" if found is None else "false"]
        case "Bool" | "StringEquals":
            return found in values
        case "StringLike":
            return found is not None and any(_fits(pattern, found) for pattern in values)
        case "ArnNotLike":  # also of what is not there
            return found is None or not any(_fits(pattern, found) for pattern in values)
    raise AssertionError(operator)


def _fits(pattern: str, text: str) -> bool:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
