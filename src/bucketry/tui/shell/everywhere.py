"""The commands of every screen: where one can go, how one gets back, and what is switched on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from bucketry.errors import BucketryError
from bucketry.schema.names import parse_model_name
from bucketry.show.figures import Zone
from bucketry.tui.actions.compare import compare_typed
from bucketry.tui.drawing.paint import ThemeName
from bucketry.tui.shell.commands import Command, find_command, matching_commands
from bucketry.tui.shell.places import (
    AuditPlace,
    CommandLogPlace,
    DeploymentsPlace,
    HealthPlace,
    HelpPlace,
    ModelsPlace,
    PalettePlace,
    ReviewsPlace,
    TransfersPlace,
    VersionsPlace,
)
from bucketry.tui.shell.prompts import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.tui.shell.view import Shell


def commands_everywhere(app: Shell) -> tuple[Command, ...]:
    """Return the commands that every screen has."""
    return (*_places(app), *_overviews(app), *_moves(app), *_switches(app))


def _places(app: Shell) -> tuple[Command, ...]:
    return (
        Command("models", (), "Go to the models", lambda _: app.go(ModelsPlace()), group="Go", also=("m",)),
        Command(
            "versions",
            (),
            "Go to the versions of a model",
            lambda name: _go_to_versions(app, name),
            group="Go",
            argument="MODEL",
            also=("v",),
        ),
        Command(
            "compare",
            (),
            "Compare versions, the baseline first",
            lambda text: compare_typed(app, None, text),
            group="Go",
            argument="REF REF",
        ),
        Command("log", ("@",), "Show the command log", lambda _: app.go(CommandLogPlace()), group="Go", hint=""),
        Command("help", ("?", "f1"), "Show all keys", lambda _: app.go(HelpPlace(app.commands)), group="Go"),
        Command(
            "palette",
            ("ctrl+p",),
            "Find a command by its words",
            lambda _: app.go(PalettePlace(app.commands)),
            group="Go",
        ),
        Command("command", (":",), "Type a command", lambda _: _ask_command(app), group="Go", hint="command"),
    )


def _overviews(app: Shell) -> tuple[Command, ...]:
    """Return the ways to the screens about the whole registry and this machine."""
    return (
        Command(
            "review", (), "Go to what waits for a review", lambda _: app.go(ReviewsPlace()), group="Go", also=("r",)
        ),
        Command(
            "deployments",
            (),
            "Go to who serves what",
            lambda words: app.go(DeploymentsPlace(words)),
            group="Go",
            argument="WORDS",
            also=("d",),
        ),
        Command(
            "audit",
            (),
            "Go to who did what, to one model or to all",
            lambda name: _go_to_audit(app, name),
            group="Go",
            argument="MODEL",
        ),
        Command(
            "doctor", (), "Go to the health of the store", lambda _: app.go(HealthPlace()), group="Go", also=("health",)
        ),
        Command("transfers", ("t",), "Go to the transfers", lambda _: _go_to_transfers(app), group="Go", also=("t",)),
    )


def _moves(app: Shell) -> tuple[Command, ...]:
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


def _switches(app: Shell) -> tuple[Command, ...]:
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


def _go_to_versions(app: Shell, name: str) -> None:
    if not name:
        app.flash("name a model: :v acme/chat", "warn")
        return
    try:
        app.go(VersionsPlace(parse_model_name(name)))
    except BucketryError as error:
        app.fail(error)


def _go_to_audit(app: Shell, name: str) -> None:
    try:
        app.go(AuditPlace(parse_model_name(name) if name else None))
    except BucketryError as error:
        app.fail(error)


def _go_to_transfers(app: Shell) -> None:
    if app.view.says_transfers:
        app.flash("these are the transfers", "dim")
    else:
        app.go(TransfersPlace())


def _ask_command(app: Shell) -> None:
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


def _redraw(app: Shell) -> None:
    app.forget_display()
    app.flash("drawn anew", "dim")


def _why_not_back(app: Shell) -> str:
    return "" if app.depth > 1 else "this is the first screen (q leaves)"


def _escape(app: Shell) -> None:
    if app.view.escape():
        return
    if app.depth > 1:
        app.back()
    else:
        app.flash("there is no filter and no mark to clear, and this is the first screen (q leaves)", "dim")


def _quit(app: Shell) -> None:
    if app.depth > 1:
        app.back()
    else:
        app.leave()


def _why_not_unlock(app: Shell) -> str:
    if app.read_only:
        return "--read-only cannot be lifted"
    return "the configuration says read_only for this registry" if app.session.read_only else ""


def _toggle_lock(app: Shell) -> None:
    app.write_lock = not app.write_lock
    app.flash("write lock on: nothing changes the registry until W" if app.write_lock else "write lock off")


def _set_theme(app: Shell, name: str) -> None:
    for theme in get_args(ThemeName):
        if name == theme:
            app.painter.theme = theme
            app.repaint()
            return
    app.flash(f"choose one of {', '.join(get_args(ThemeName))}", "warn")


def _set_zone(app: Shell, name: str) -> None:
    for zone in get_args(Zone):
        if name == zone:
            app.zone = zone
            app.repaint()
            app.view.data_changed()
            return
    app.flash(f"choose one of {', '.join(get_args(Zone))}", "warn")


def _set_mouse(app: Shell, word: str) -> None:
    if word not in {"on", "off"}:
        app.flash("say on or off", "warn")
        return
    app.set_mouse(is_on=word == "on")
    app.flash(f"mouse {word}")
