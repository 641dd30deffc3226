"""The screen that shows a place. Each is imported when somebody goes there: the first picture waits for none."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bucketry.tui.shell import places

if TYPE_CHECKING:
    from bucketry.tui.shell.view import Shell, View


def view_of(shell: Shell, place: places.Place) -> View:  # noqa: C901, PLR0911, PLR0912 - one case for each place
    """Return a new view of the place."""
    # ruff: noqa: PLC0415 - see the module's first line
    match place:
        case places.ModelsPlace():
            from bucketry.tui.screens.models import ModelsView

            return ModelsView(shell)
        case places.VersionsPlace(model=model):
            from bucketry.tui.screens.versions import VersionsView

            return VersionsView(shell, model)
        case places.VersionPlace(row=row, same_tab=same_tab):
            from bucketry.tui.screens.version.screen import VersionView

            tab = shell.view.tab if same_tab and isinstance(shell.view, VersionView) else 0
            return VersionView(shell, row, tab=tab)
        case places.ComparisonPlace(references=references):
            from bucketry.tui.screens.compare import CompareView

            return CompareView(shell, references)
        case places.TensorsPlace(row=row, artifact=artifact):
            from bucketry.tui.screens.tensors import TensorsView

            return TensorsView(shell, row, artifact)
        case places.ReviewsPlace():
            from bucketry.tui.screens.review import ReviewView

            return ReviewView(shell)
        case places.DeploymentsPlace(words=words):
            from bucketry.tui.screens.deployments import DeploymentsView

            return DeploymentsView(shell, words)
        case places.AuditPlace(model=model):
            from bucketry.tui.screens.audit import AuditView

            return AuditView(shell, model)
        case places.HealthPlace():
            from bucketry.tui.screens.health import HealthView

            return HealthView(shell)
        case places.TransfersPlace():
            from bucketry.tui.screens.transfers import TransfersView

            return TransfersView(shell)
        case places.TransfersLogPlace():
            from bucketry.tui.screens.transfers_log import TransfersLogView

            return TransfersLogView(shell)
        case places.CommandLogPlace():
            from bucketry.tui.screens.log import LogView

            return LogView(shell)
        case places.HelpPlace():
            from bucketry.tui.screens.help import HelpView

            return HelpView(shell)
        case places.PalettePlace():
            from bucketry.tui.screens.palette import PaletteView

            return PaletteView(shell)
        case _:
            assert_never(place)
