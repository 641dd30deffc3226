"""How is what an instance reported shown? Pure; the JSON keys are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.cli.documents import damaged_document
from bucketry.cli.figures import human_age
from bucketry.cli.tables import Column
from bucketry.schema.documents.deployment import DeploymentStanding

if TYPE_CHECKING:
    from datetime import datetime

    from bucketry.registry.serving.deployments import ObservedDeployment
    from bucketry.schema.documents.deployment import Deployment

COLUMNS = (
    Column("MODEL", flexible=True),
    Column("ENVIRONMENT", flexible=True),
    Column("INSTANCE", flexible=True),
    Column("VERSION", number=True),
    Column("ALIAS"),
    Column("STANDING", flexible=True),
    Column("VERIFIED"),
    Column("AGE", number=True),
)
VERIFIED = {
    "sha256": "verified by SHA-256",
    "fast": "verified by XXH3",
    "trust": "verified by SHA-256 and a trust file",
}


DEPLOYMENT_KEYS = (
    "model",
    "version",
    "manifest",
    "alias",
    "generation",
    "environment",
    "instance",
    "actor",
    "at",
    "pulled_at",
    "verified",
    "files",
    "size_bytes",
    "complete",
    "client",
    "behind",
    "alias_version",
    "state",
)
"""What each receipt of a list has beside its key, its standing, and why."""


def deployment_document(deployment: Deployment) -> dict[str, object]:
    """Return what an instance reported."""
    return {
        "model": str(deployment.model),
        "version": deployment.version,
        "manifest": deployment.manifest,
        "alias": deployment.alias,
        "generation": deployment.generation,
        "environment": deployment.place.environment,
        "instance": deployment.place.instance,
        "actor": deployment.actor,
        "at": deployment.at,
        "pulled_at": deployment.pulled_at,
        "verified": deployment.verified,
        "files": deployment.files,
        "size_bytes": deployment.size_bytes,
        "complete": deployment.complete,
        "client": deployment.client,
    }


def observed_document(item: ObservedDeployment) -> dict[str, object]:
    """Return a receipt with how it stands; of a damaged one only `key`, `standing` and `why` are no nulls."""
    found: dict[str, object] = {"key": item.key, "standing": item.standing.value, "why": item.why}
    if item.deployment is None:
        return dict.fromkeys(DEPLOYMENT_KEYS) | found | damaged_document(item.why)
    return (
        deployment_document(item.deployment)
        | found
        | {
            "behind": item.behind,
            "alias_version": item.alias_version,
            "alias_since": item.alias_move.at if item.alias_move else None,
            "alias_by": item.alias_move.by if item.alias_move else None,
            "state": item.state.value if item.state else None,
        }
    )


def observed_cells(item: ObservedDeployment, now: datetime) -> tuple[str, ...]:
    """Return a receipt as a row of the table."""
    deployment = item.deployment
    if deployment is None:
        return (item.key, "", "", "", "", f"{item.standing}: {item.why}", "", "")
    return (
        str(deployment.model),
        deployment.place.environment,
        deployment.place.instance,
        str(deployment.version),
        deployment.alias or "",
        _told(item),
        deployment.verified if deployment.complete else f"{deployment.verified}, in part",
        human_age(deployment.at, now),
    )


def _told(item: ObservedDeployment) -> str:
    match item.standing:
        case DeploymentStanding.BEHIND:
            names = f"version {item.alias_version}" if item.alias_version is not None else "nothing"
            return f"behind by {item.behind}, names {names}"
        case DeploymentStanding.REFUSED:
            return f"REFUSED: {item.state}"
        case DeploymentStanding.UNKNOWN:
            return f"unknown: {item.why}"
        case _:
            return item.standing.value
