"""What can be done on every screen?"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from bucketry.errors import BucketryError
from bucketry.schema.names import parse_model_name
from bucketry.tui.actions.download import transfer_commands
from bucketry.tui.drawing.figures import Zone
from bucketry.tui.drawing.paint import ThemeName
from bucketry.tui.shell.commands import Command, find_command, matching_commands
from bucketry.tui.shell.overviews import overview_commands
from bucketry.tui.shell.prompts import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.tui.shell.app import BucketryApp


def commands_everywhere(app: BucketryApp) -> tuple[Command, ...]:
    """Return the commands that every screen has."""
    return (*_places(app), *overview_commands(app), *transfer_commands(app), *_moves(app), *_switches(app))


def _places(app: BucketryApp) -> tuple[Command, ...]:
    return (
        Command("models", (), "Go to the models", lambda _: _open_models(app), group="Go", also=("m",)),
        Command(
            "versions",
            (),
            "Go to the versions of a model",
            lambda name: _open_versions(app, name),
            group="Go",
            argument="MODEL",
            also=("v",),
        ),
        Command(
            "compare",
            (),
            "Compare versions, the baseline first",
            lambda text: _open_comparison(app, text),
            group="Go",
            argument="REF REF",
        ),
        Command("log", ("@",), "Show the command log", lambda _: _open_log(app), group="Go", hint=""),
        Command("help", ("?", "f1"), "Show all keys", lambda _: _open_help(app), group="Go"),
        Command("palette", ("ctrl+p",), "Find a command by its words", lambda _: _open_palette(app), group="Go"),
        Command("command", (":",), "Type a command", lambda _: _ask_command(app), group="Go", hint="command"),
    )


def _moves(app: BucketryApp) -> tuple[Command, ...]:
    return (
        Command(
            "back", ("h", "left", "backspace"), "Go back", lambda _: app.back(), lambda: _why_not_back(app), "", "Go"
        ),
        Command(
            "escape", ("escape",), "Clear the filter or the marks, else go back", lambda _: _escape(app), group="Go"
        ),
        Command("last", ("-",), "Open the view again that was closed last", lambda _: app.reopen_last(), group="Go"),
        Command(
            "quit", ("q",), "Go back, or leave from the first screen", lambda _: _quit(app), group="Go", also=("q",)
        ),
        Command("leave", ("ctrl+c", "ctrl+q"), "Leave", lambda _: app.leave(), group="Go"),
        Command("refresh", ("r",), "Look at the bucket now", lambda _: app.refreshing.ask(), group="Read"),
    )


def _switches(app: BucketryApp) -> tuple[Command, ...]:
    return (
        Command("redraw", ("ctrl+l",), "Draw the screen anew", lambda _: _redraw(app), group="Show"),
        Command(
            "lock",
            ("W",),
            "Turn the write lock on or off",
            lambda _: _toggle_lock(app),
            lambda: _why_not_unlock(app),
            group="Write",
        ),
        Command(
            "theme",
            (),
            "Choose the colours",
            lambda name: _set_theme(app, name),
            group="Show",
            argument="dark|light|terminal",
        ),
        Command(
            "time", (), "Show times in a zone", lambda zone: _set_zone(app, zone), group="Show", argument="local|utc"
        ),
        Command(
            "mouse", (), "Turn the mouse on or off", lambda word: _set_mouse(app, word), group="Show", argument="on|off"
        ),
    )


def _open_models(app: BucketryApp) -> None:
    from bucketry.tui.screens.models import ModelsView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(ModelsView(app))


def _open_versions(app: BucketryApp, name: str) -> None:
    from bucketry.tui.screens.versions import VersionsView  # noqa: PLC0415 - only who opens one needs it

    if not name:
        app.flash("name a model: :v acme/chat", "warn")
        return
    try:
        model = parse_model_name(name)
    except BucketryError as error:
        app.fail(error)
        return
    app.open_view(VersionsView(app, model))


def _open_comparison(app: BucketryApp, text: str) -> None:
    from bucketry.tui.screens.compare.screen import open_typed  # noqa: PLC0415 - only who opens one needs it

    open_typed(app, None, text)


def _open_log(app: BucketryApp) -> None:
    from bucketry.tui.screens.log import LogView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(LogView(app))


def _open_help(app: BucketryApp) -> None:
    from bucketry.tui.screens.help import HelpView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(HelpView(app, app.commands))


def _open_palette(app: BucketryApp) -> None:
    from bucketry.tui.screens.palette import PaletteView  # noqa: PLC0415 - only who opens one needs it

    app.open_view(PaletteView(app, app.commands))


def _ask_command(app: BucketryApp) -> None:
    commands = app.commands

    def run(text: str) -> None:
        word, _, argument = text.strip().partition(" ")
        command = find_command(commands, word)
        if command is not None:
            app.run_command(command, argument.strip())
        elif word:
            near = ", ".join(found.name for found in matching_commands(commands, word)[:5])
            app.flash(f'there is no command "{word}"' + (f"; did you mean {near}" if near else "; ? lists all"), "warn")

    def complete(text: str) -> Sequence[str]:
        return sorted({command.name for command in commands if command.name.startswith(text)})

    app.ask(Question(":", run, complete=complete))


def _redraw(app: BucketryApp) -> None:
    app.forget_display()
    app.flash("drawn anew", "dim")


def _why_not_back(app: BucketryApp) -> str:
    return "" if app.depth > 1 else "this is the first screen (q leaves)"


def _escape(app: BucketryApp) -> None:
    if app.view.escape():
        return
    if app.depth > 1:
        app.back()
    else:
        app.flash("there is no filter and no mark to clear, and this is the first screen (q leaves)", "dim")


def _quit(app: BucketryApp) -> None:
    if app.depth > 1:
        app.back()
    else:
        app.leave()


def _why_not_unlock(app: BucketryApp) -> str:
    if app.read_only:
        return "--read-only cannot be lifted"
    return "the configuration says read_only for this registry" if app.session.read_only else ""


def _toggle_lock(app: BucketryApp) -> None:
    app.write_lock = not app.write_lock
    app.flash("write lock on: nothing changes the registry until W" if app.write_lock else "write lock off")


def _set_theme(app: BucketryApp, name: str) -> None:
    for theme in get_args(ThemeName):
        if name == theme:
            app.painter.theme = theme
            app.repaint()
            return
    app.flash(f"choose one of {', '.join(get_args(ThemeName))}", "warn")


def _set_zone(app: BucketryApp, name: str) -> None:
    for zone in get_args(Zone):
        if name == zone:
            app.zone = zone
            app.repaint()
            app.view.data_changed()
            return
    app.flash(f"choose one of {', '.join(get_args(Zone))}", "warn")


def _set_mouse(app: BucketryApp, word: str) -> None:
    if word not in {"on", "off"}:
        app.flash("say on or off", "warn")
        return
    app.set_mouse(is_on=word == "on")
    app.flash(f"mouse {word}")
