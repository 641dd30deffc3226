"""Judges how a bucket is set up: what of it would hurt a registry, and what would help. Pure."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from bucketry.maintenance.doctor.findings import Observation
from bucketry.schema import keys
from bucketry.schema.roles import CREATED_ONCE, REGISTERS
from bucketry.store.description import NOT_KNOWN_HERE, NotKnown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.store.description import BucketDescription, LifecycleRule

EXPENDABLE = frozenset({keys.DEPLOYMENTS, keys.WORK, keys.REPLICA, keys.PROBE})
"""What may expire: it is written again, or nobody needs it after a while."""
UNREADABLE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
SHORTEST_UPLOAD_DAYS = 2
LEAST_TLS = "https://"
LOOPBACK = ("http://127.", "http://localhost", "http://[::1]")
CONDITIONS = frozenset({"s3:if-match", "s3:if-none-match"})


def judge_settings(found: BucketDescription | None) -> list[Observation]:
    """Return what is to be said of each setting; without a description, that nothing is known."""
    if found is None:
        names = ("versioning", "lifecycle", "uploads", "object-lock", "encryption")
        return [Observation(name, "unknown", f"{name} is {NOT_KNOWN_HERE.reason}") for name in names]
    return [
        _judge_versioning(found),
        _judge_lifecycle(found),
        _judge_uploads(found),
        _judge_lock(found),
        _plain("encryption", found.encryption, "encrypted by {}", "not encrypted by the bucket's own setting"),
    ]


def judge_endpoint(endpoint: str) -> Observation:
    """Say whether what goes to the store can be read or changed on the way."""
    if endpoint.startswith(LEAST_TLS):
        return Observation("tls", "ok", "the store is spoken to by https, and its certificate is checked")
    if not endpoint.startswith("http://"):
        return Observation("tls", "ok", "nothing goes over a network that this program opened")
    if endpoint.startswith(LOOPBACK):
        return Observation("tls", "ok", "the store is on this machine, and spoken to by http")
    return Observation(
        "tls",
        "warning",
        "the store is spoken to by http: whoever is on the way reads what is sent, and can answer in its place",
        advice="use https; requests are signed, but replies are not",
    )


def judge_enforcement(
    policy: str | NotKnown, found: BucketDescription | None, *, is_refused: bool | None
) -> Observation:
    """Say whether the bucket refuses unconditional writes by itself.

    `is_refused` is what a try below `probe/` showed, or None where none could be made.
    """
    name = "conditional-writes"
    covered = () if found is None or isinstance(policy, NotKnown) else enforced_kinds(policy, found)
    lacking = [kind for kind in (*REGISTERS, *CREATED_ONCE, keys.BLOBS) if kind not in covered]
    if covered and not lacking:
        return Observation(name, "ok", "the bucket's policy refuses every unconditional write of what must not change")
    if covered:
        return Observation(
            name,
            "warning",
            f"the bucket's policy enforces conditional writes, but not of {', '.join(lacking)}",
            advice="use infra/aws/bucket-policy.json, which covers all (docs/roles.md)",
        )
    if is_refused:
        return Observation(name, "ok", f"the bucket refuses unconditional writes, as a try below {keys.PROBE} showed")
    if is_refused is None:
        return Observation(name, "unknown", "whether the bucket refuses unconditional writes could not be tried")
    return Observation(
        name,
        "ok",
        "this program always writes on a condition; the bucket does not ask that of other programs",
        advice="on AWS, infra/aws/bucket-policy.json refuses every other write (docs/roles.md)",
    )


def enforced_kinds(policy: str, found: BucketDescription) -> tuple[str, ...]:
    """Return the kinds of key of which a policy denies everybody an unconditional write."""
    try:
        statements = json.loads(policy).get("Statement", ()) if policy else ()
        denying = [each for each in _listed(statements) if _denies_unconditional(each)]
        patterns = [pattern.partition(":::")[2] for each in denying for pattern in _listed(each.get("Resource"))]
    except (ValueError, AttributeError, TypeError):
        return ()

    def is_covered(kind: str) -> bool:
        key = f"{found.bucket}/{found.prefix}{kind}{'x' if kind.endswith('/') else ''}"
        return any(fnmatchcase(key, pattern) for pattern in patterns)

    return tuple(kind for kind in keys.KINDS if is_covered(kind))


def _denies_unconditional(statement: Any) -> bool:  # noqa: ANN401 - foreign JSON
    missing = statement.get("Condition", {}).get("Null", {})
    asked = {name for name, value in missing.items() if name in CONDITIONS and _listed(value) == ["true"]}
    puts = any(fnmatchcase("s3:PutObject", action) for action in _listed(statement.get("Action")))
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
    return statement.get("Effect") == "Deny" and everybody and puts and "s3:if-none-match" in asked


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - foreign JSON
    return value if isinstance(value, list) else [] if value is None else [value]


def _judge_versioning(found: BucketDescription) -> Observation:
    name = "versioning"
    if isinstance(found.versioning, NotKnown):
        return Observation(name, "unknown", f"versioning is {found.versioning.reason}")
    if found.versioning != "enabled":
        return Observation(
            name,
            "ok",
            "older states of objects are not kept by the bucket",
            advice="with versioning, a register that was overwritten by other programs can be had back",
        )
    older = [rule for rule in _rules(found) if rule.expires_older_days is not None]
    if isinstance(found.lifecycle, NotKnown) or any(_covers(found, rule, keys.BLOBS) for rule in older):
        return Observation(name, "ok", "older states of objects are kept")
    return Observation(
        name,
        "warning",
        f"older states are kept for ever: what garbage collection removes from {keys.BLOBS} goes on costing",
        advice="let older versions of blobs expire after some days (infra/aws/lifecycle.json)",
    )


def _judge_lifecycle(found: BucketDescription) -> Observation:
    name = "lifecycle"
    if isinstance(found.lifecycle, NotKnown):
        return Observation(name, "unknown", f"the lifecycle is {found.lifecycle.reason}")
    for rule in found.lifecycle:
        hurt = [kind for kind in keys.KINDS if _touches(found, rule, kind) and kind not in EXPENDABLE]
        if rule.expires_days is not None and hurt:
            return Observation(
                name,
                "failure",
                f"the lifecycle rule {rule.name!a} deletes what is needed: it expires {', '.join(hurt)}",
                advice="take the rule away at once: only the registry knows what is still needed (`bucketry gc`)",
            )
        moved = sorted(UNREADABLE_CLASSES.intersection(rule.moves_to))
        if moved and hurt:
            return Observation(
                name,
                "failure",
                f"the lifecycle rule {rule.name!a} moves {', '.join(hurt)} to {moved[0]}, where nothing can be read",
                advice="move to a class that is read at once, such as INTELLIGENT_TIERING or GLACIER_IR",
            )
    return Observation(name, "ok", "no lifecycle rule takes away what the registry needs")


def _judge_uploads(found: BucketDescription) -> Observation:
    name = "uploads"
    if isinstance(found.lifecycle, NotKnown):
        return Observation(name, "unknown", f"what becomes of abandoned uploads is {found.lifecycle.reason}")
    covering = [rule for rule in found.lifecycle if _covers(found, rule, keys.BLOBS)]
    days = [rule.aborts_uploads_days for rule in covering if rule.aborts_uploads_days is not None]
    if not days:
        return Observation(
            name,
            "warning",
            "nobody gives up abandoned uploads, whose parts cost as much as objects",
            advice="let the lifecycle abort them after 7 days (infra/aws/lifecycle.json), or run `bucketry gc --apply`",
        )
    if min(days) < SHORTEST_UPLOAD_DAYS:
        return Observation(
            name,
            "warning",
            f"uploads are given up after {min(days)} day: a publish that is resumed later starts anew",
            advice="leave them for 7 days",
        )
    return Observation(name, "ok", f"abandoned uploads are given up after {min(days)} days")


def _judge_lock(found: BucketDescription) -> Observation:
    name = "object-lock"
    if not isinstance(found.object_lock, NotKnown) and any(unit in found.object_lock for unit in (" days", " years")):
        return Observation(
            name,
            "warning",
            f"every object is locked ({found.object_lock}): garbage collection frees nothing before that",
            advice="lock a copy of history and reviews in a bucket of its own instead (docs/roles.md)",
        )
    return _plain(name, found.object_lock, "Object Lock is {}", "Object Lock is off")


def _plain(name: str, value: str | NotKnown, some: str, none: str) -> Observation:
    if isinstance(value, NotKnown):
        return Observation(name, "unknown", f"{name} is {value.reason}")
    return Observation(name, "ok", some.format(value) if value else none)


def _rules(found: BucketDescription) -> Sequence[LifecycleRule]:
    return () if isinstance(found.lifecycle, NotKnown) else found.lifecycle


def _touches(found: BucketDescription, rule: LifecycleRule, kind: str) -> bool:
    """Whether a rule is about anything of a kind."""
    whole = found.prefix + kind
    return whole.startswith(rule.prefix) or rule.prefix.startswith(whole)


def _covers(found: BucketDescription, rule: LifecycleRule, kind: str) -> bool:
    """Whether a rule is about all of a kind."""
    return (found.prefix + kind).startswith(rule.prefix)
