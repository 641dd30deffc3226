"""How does one get to the screens about the whole registry: what waits, who serves what, who did what, its health?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.schema.names import parse_model_name
from bucketry.tui.shell.commands import Command

if TYPE_CHECKING:
    from bucketry.tui.shell.app import BucketryApp


def overview_commands(app: BucketryApp) -> tuple[Command, ...]:
    """Return the commands that open these screens."""
    return (
        Command("review", (), "Go to what waits for a review", lambda _: _open_review(app), group="Go", also=("r",)),
        Command(
            "deployments",
            (),
            "Go to who serves what",
            lambda words: _open_deployments(app, words),
            group="Go",
            argument="WORDS",
            also=("d",),
        ),
        Command(
            "audit",
            (),
            "Go to who did what, to one model or to all",
            lambda name: _open_audit(app, name),
            group="Go",
            argument="MODEL",
        ),
        Command(
            "doctor", (), "Go to the health of the store", lambda _: _open_health(app), group="Go", also=("health",)
        ),
    )


def _open_review(app: BucketryApp) -> None:
    from bucketry.tui.screens.review import ReviewView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(ReviewView(app))


def _open_deployments(app: BucketryApp, words: str) -> None:
    from bucketry.tui.screens.deployments import DeploymentsView  # noqa: PLC0415 - only who opens one needs it

    view = DeploymentsView(app)
    view.filter = words
    app.open_view(view)


def _open_audit(app: BucketryApp, name: str) -> None:
    from bucketry.tui.screens.audit import AuditView  # noqa: PLC0415 - only who opens one needs it

    try:
        model = parse_model_name(name) if name else None
    except BucketryError as error:
        app.fail(error)
        return
    app.open_view(AuditView(app, model))


def _open_health(app: BucketryApp) -> None:
    from bucketry.tui.screens.health import HealthView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(HealthView(app))
