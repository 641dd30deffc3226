"""The screen that shows a place, and the screens that a key belongs to.

Each is imported when somebody goes there: the first picture waits for none.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from bucketry.show.figures import count_of
from bucketry.tui.shell import places
from bucketry.tui.shell.commands import lower_first, shown_key

if TYPE_CHECKING:
    from bucketry.tui.shell.commands import Keymap
    from bucketry.tui.shell.view import Shell, View

    _WholePlace = (
        places.ModelsPlace
        | places.ReviewsPlace
        | places.HealthPlace
        | places.TransfersPlace
        | places.TransfersLogPlace
        | places.CommandLogPlace
        | places.HelpPlace
        | places.PalettePlace
    )
    """A place of which there is one, so that its name says all of it."""


def view_of(shell: Shell, place: places.Place) -> View:  # noqa: PLR0911 - one case for each place
    """Return a new view of the place."""
    match place:
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
        case places.DeploymentsPlace(words=words):
            from bucketry.tui.screens.deployments import DeploymentsView

            return DeploymentsView(shell, words)
        case places.AuditPlace(model=model):
            from bucketry.tui.screens.audit import AuditView

            return AuditView(shell, model)
        case _:
            return _class_of(place)(shell)


def _class_of(place: _WholePlace) -> type[View]:  # noqa: PLR0911 - one case for each place
    match place:
        case places.ModelsPlace():
            from bucketry.tui.screens.models import ModelsView

            return ModelsView
        case places.ReviewsPlace():
            from bucketry.tui.screens.review import ReviewView

            return ReviewView
        case places.HealthPlace():
            from bucketry.tui.screens.health import HealthView

            return HealthView
        case places.TransfersPlace():
            from bucketry.tui.screens.transfers import TransfersView

            return TransfersView
        case places.TransfersLogPlace():
            from bucketry.tui.screens.transfers_log import TransfersLogView

            return TransfersLogView
        case places.CommandLogPlace():
            from bucketry.tui.screens.log import LogView

            return LogView
        case places.HelpPlace():
            from bucketry.tui.screens.help import HelpView

            return HelpView
        case places.PalettePlace():
            from bucketry.tui.screens.palette import PaletteView

            return PaletteView
        case _:
            assert_never(place)


def every_screen() -> tuple[type[View], ...]:
    """Return the class of each screen, those that are seen most first; loads them all."""
    from bucketry.tui.screens.audit import AuditView
    from bucketry.tui.screens.compare import CompareView
    from bucketry.tui.screens.deployments import DeploymentsView
    from bucketry.tui.screens.health import HealthView
    from bucketry.tui.screens.help import HelpView
    from bucketry.tui.screens.log import LogView
    from bucketry.tui.screens.models import ModelsView
    from bucketry.tui.screens.palette import PaletteView
    from bucketry.tui.screens.review import ReviewView
    from bucketry.tui.screens.tensors import TensorsView
    from bucketry.tui.screens.transfers import TransfersView
    from bucketry.tui.screens.transfers_log import TransfersLogView
    from bucketry.tui.screens.version.screen import VersionView
    from bucketry.tui.screens.versions import VersionsView

    return (
        ModelsView,
        VersionsView,
        VersionView,
        CompareView,
        ReviewView,
        DeploymentsView,
        AuditView,
        TensorsView,
        TransfersView,
        TransfersLogView,
        HealthView,
        LogView,
        HelpView,
        PaletteView,
    )


def where_it_belongs(key: str, keymap: Keymap) -> str:
    """Return, in a line, on which screens a key does something, or that it does nothing on any.

    Return "" for what does nothing and was not typed, such as a key of functions.
    """
    known = [(screen, keymap.find(screen.COMMANDS, key)) for screen in every_screen()]
    found = [(screen, command) for screen, command in known if command is not None]
    if not found:
        return f"{key} does nothing here (? lists the keys)" if len(key) == 1 and key.isprintable() else ""
    first, meant = found[0]
    others = sum(command.name == meant.name for _, command in found[1:])
    more = f" and {count_of(others, 'other screen')}" if others else ""
    return f"{shown_key(key)} {lower_first(meant.title)}: not here, it is for {first.CALLED}{more}"
