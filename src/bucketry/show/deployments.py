"""Who serves what, and is it what the alias names now: the words for a report and for how it stands."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bucketry.schema.documents.deployment import DeploymentStanding
from bucketry.show.figures import age_text, count_of, parse_moment, size_text, time_text
from bucketry.show.spans import Line, Role, Span, TextPage, line, wrapped
from bucketry.show.tables import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bucketry.registry.serving.deployments import ObservedDeployment
    from bucketry.schema.documents.deployment import Deployment
    from bucketry.show.figures import Zone

STALE_DAYS = 2
"""Whose report is older is marked: it may be gone."""
DAY_SECONDS = 86_400
SETTLED = (DeploymentStanding.CURRENT, DeploymentStanding.PINNED)
"""Everything else is drift: what is served is not what its alias names, or nobody can say."""
STANDING_ROLES: Mapping[DeploymentStanding, Role] = {
    DeploymentStanding.CURRENT: "good",
    DeploymentStanding.BEHIND: "warn",
    DeploymentStanding.AHEAD: "warn",
    DeploymentStanding.REFUSED: "bad",
    DeploymentStanding.PINNED: "plain",
    DeploymentStanding.UNKNOWN: "bad",
    DeploymentStanding.DAMAGED: "bad",
}
VERIFIED: Mapping[str, str] = {
    "sha256": "verified by SHA-256",
    "fast": "verified by XXH3",
    "trust": "verified by SHA-256 and a trust file",
}


def deployment_columns(now: datetime) -> tuple[Column[ObservedDeployment], ...]:
    """Return the columns of a list of reports; of one that is damaged only its key and why are known."""

    def known(say: str, item: ObservedDeployment) -> str:
        return "" if item.deployment is None else say

    return (
        Column("model", "MODEL", lambda item: str(item.deployment.model) if item.deployment else item.key, 8, 60),
        Column(
            "environment",
            "ENVIRONMENT",
            lambda item: item.deployment.place.environment if item.deployment else "",
            8,
            40,
        ),
        Column("instance", "INSTANCE", lambda item: item.deployment.place.instance if item.deployment else "", 8, 60),
        Column(
            "version", "VERSION", lambda item: str(item.deployment.version) if item.deployment else "", 7, right=True
        ),
        Column("alias", "ALIAS", lambda item: (item.deployment.alias or "") if item.deployment else "", 5, 30),
        Column("standing", "STANDING", standing_with_reason, 8, 120),
        Column("verified", "VERIFIED", verified_text, 8, 16),
        Column("age", "AGE", lambda item: reported_span(item, now), 9, right=True),
    )


def standing_span(item: ObservedDeployment) -> Span:
    """Return how an instance stands to its alias."""
    role = STANDING_ROLES[item.standing]
    match item.standing:
        case DeploymentStanding.BEHIND:
            names = f"v{item.alias_version}" if item.alias_version is not None else "nothing"
            return Span(f"behind by {item.behind}, now {names}", role)
        case DeploymentStanding.REFUSED:
            return Span(f"REFUSED: {item.state}", role)
        case DeploymentStanding.UNKNOWN | DeploymentStanding.DAMAGED:
            return Span(item.standing.value.upper(), role)
        case _:
            return Span(item.standing.value, role)


def standing_with_reason(item: ObservedDeployment) -> Span:
    """Return how an instance stands, and where nobody can say, why."""
    span = standing_span(item)
    return Span(f"{span.text}: {item.why}", span.role) if item.why else span


def verified_text(item: ObservedDeployment) -> str:
    """Return how what is served was verified there, and whether that was all of it."""
    if item.deployment is None:
        return ""
    return item.deployment.verified if item.deployment.complete else f"{item.deployment.verified}, in part"


def reported_span(item: ObservedDeployment, now: datetime) -> Span:
    """Return how old a report is, and whether that is too old."""
    if item.deployment is None:
        return Span("")
    age = age_text(item.deployment.at, now)
    return Span(f"{age} STALE", "warn") if is_stale(item.deployment, now) else Span(age)


def place_text(deployment: Deployment) -> str:
    """Return where a version is served."""
    return f"{deployment.place.environment}/{deployment.place.instance}"


def is_stale(deployment: Deployment, now: datetime) -> bool:
    """Return whether a report is so old that its instance may be gone."""
    return (now - parse_moment(deployment.at)).total_seconds() > STALE_DAYS * DAY_SECONDS


def report_lines(item: ObservedDeployment, page: TextPage, zone: Zone) -> list[Line]:
    """Return everything that is known of an instance."""
    deployment, width = item.deployment, page.width
    if deployment is None:
        return [line(Span("no report", "strong")), *wrapped(item.key, width), *wrapped(item.why, width, role="bad")]
    pulled = f"pulled {time_text(deployment.pulled_at, zone)}, " if deployment.pulled_at else ""
    part = "" if deployment.complete else ", NOT all files of the version"
    standing = standing_with_reason(item)
    return [
        line(Span(place_text(deployment), "strong")),
        *wrapped(standing.text, width, role=standing.role),
        *wrapped(f"serves {deployment.model}:{deployment.version}  sha256:{deployment.manifest}", width),
        *wrapped(f"{pulled}reported {time_text(deployment.at, zone)} by {deployment.actor} (its own claim)", width),
        *wrapped(
            f"{count_of(deployment.files, 'file')}, {size_text(deployment.size_bytes)}{part}, "
            f"verified by {deployment.verified}, {deployment.client}",
            width,
        ),
    ]


def standings_span(observed: Sequence[ObservedDeployment], now: datetime) -> Span:
    """Return how many instances stand how."""
    counts = Counter(item.standing for item in observed)
    stale = sum(item.deployment is not None and is_stale(item.deployment, now) for item in observed)
    parts = [f"{counts[standing]} {standing}" for standing in DeploymentStanding if counts[standing]]
    parts += [f"{stale} stale"] if stale else []
    said = f"{count_of(len(observed), 'instance')}: {', '.join(parts)}" if observed else "no instance has reported"
    return Span(said, "warn" if any(standing not in SETTLED for standing in counts) else "plain")
