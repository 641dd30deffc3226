"""How is what an instance reported shown? Pure; the JSON keys are a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.cli.documents import damaged_document

if TYPE_CHECKING:
    from bucketry.registry.serving.deployments import ObservedDeployment
    from bucketry.schema.documents.deployment import Deployment


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
