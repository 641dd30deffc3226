"""`deployments`: which version each instance reported, beside what its alias names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bucketry.cli.command import command
from bucketry.cli.documents import damaged_document, deployment_document
from bucketry.cli.output import page
from bucketry.cli.parameters import MODEL, FiniteRange
from bucketry.registry.serving.deployments import MOST_RECEIPTS, list_deployments
from bucketry.schema.documents.deployment import parse_place_part
from bucketry.show.deployments import deployment_columns
from bucketry.show.tables import table_lines

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.registry.serving.deployments import ObservedDeployment
    from bucketry.schema.names import ModelName

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
MOST_DAYS = 36_500


@command("deployments", example="bucketry deployments acme/chat --environment prod-eu\nbucketry deployments --stale 2")
@click.argument("model", type=MODEL, required=False)
@click.option("--environment", metavar="E", help="Only one environment.")
@click.option(
    "--stale", type=FiniteRange(0, MOST_DAYS), metavar="DAYS", help="Only who has not reported for so many days."
)
def run(call: Call, model: ModelName | None, environment: str | None, stale: float | None) -> None:
    """Show which version each instance reported, beside what its alias names now.

    current, behind (by how many generations of the alias), ahead (of a replica that lags), refused (the version was
    rejected or deleted since), pinned (reported by number), unknown or damaged. A report is its instance's claim.
    """
    if environment is not None:
        parse_place_part(environment, what="environment")
    session = call.open()
    found = list_deployments(session, model, environment=environment, stale_days=stale)
    columns = deployment_columns(session.clock.now())
    lines = table_lines(columns, found.observed, page()) if found.observed else [_nobody(model, environment, stale)]
    call.answer([_document(item) for item in found.observed], lines)
    if found.cut:
        call.messages.note(f"there are more than {MOST_RECEIPTS:,} reports; name a model")


def _document(item: ObservedDeployment) -> dict[str, object]:
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


def _nobody(model: ModelName | None, environment: str | None, stale_days: float | None) -> str:
    reported = "reported" + (f" {model}" if model else "") + (f" in {environment}" if environment else "")
    if not stale_days:
        return f"nobody has {reported}"
    return f"nobody who {reported} has been silent for {stale_days:g} {'day' if stale_days == 1 else 'days'}"
