"""The commands of every screen: where one can go, how one gets back, and what is switched on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from bucketry.errors import BucketryError
from bucketry.schema.names import parse_model_name
from bucketry.show.figures import Zone
from bucketry.tui.actions.compare import compare_typed
from bucketry.tui.drawing.paint import ThemeName
from bucketry.tui.shell.asking import Question
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.tui.shell.places import Place
    from bucketry.tui.shell.view import View


def _to(place: Place) -> Callable[[View, str], None]:
    """Return what goes to a place, whatever is typed behind it."""
    return lambda view, _: view.shell.go(place)


def _go_to_versions(view: View, name: str) -> None:
    if not name:
        view.shell.flash("name a model: :v acme/chat", "warn")
        return
    try:
        view.shell.go(VersionsPlace(parse_model_name(name)))
    except BucketryError as error:
        view.shell.fail(error)


def _go_to_audit(view: View, name: str) -> None:
    try:
        view.shell.go(AuditPlace(parse_model_name(name) if name else None))
    except BucketryError as error:
        view.shell.fail(error)


def _go_to_transfers(view: View, _: str) -> None:
    if view.says_transfers:
        view.shell.flash("these are the transfers", "dim")
    else:
        view.shell.go(TransfersPlace())


def _ask_command(view: View, _: str) -> None:
    shell, commands = view.shell, view.shell.commands

    def run(text: str) -> None:
        word, _, argument = text.strip().partition(" ")
        command = find_command(commands, word)
        if command is not None:
            shell.run_command(command, argument.strip())
        elif word:
            near = ", ".join(found.name for found in matching_commands(commands, word)[:5])
            said = f"; did you mean {near}" if near else "; ? lists all"
            shell.flash(f'there is no command "{word}"{said}', "warn")

    def complete(text: str) -> Sequence[str]:
        return sorted({command.name for command in commands if command.name.startswith(text)})

    shell.ask(Question(":", run, complete=complete))


def _escape(view: View, _: str) -> None:
    if view.escape():
        return
    if view.shell.depth > 1:
        view.shell.back()
    else:
        said = "there is no filter and no mark to clear, and this is the first screen (q leaves)"
        view.shell.flash(said, "dim")


def _quit(view: View, _: str) -> None:
    if view.shell.depth > 1:
        view.shell.back()
    else:
        view.shell.leave()


def _redraw(view: View, _: str) -> None:
    view.shell.forget_display()
    view.shell.flash("drawn anew", "dim")


def _why_not_unlock(view: View) -> str:
    if view.shell.read_only:
        return "--read-only cannot be lifted"
    return "the configuration says read_only for this registry" if view.shell.session.read_only else ""


def _toggle_lock(view: View, _: str) -> None:
    shell = view.shell
    shell.write_lock = not shell.write_lock
    shell.flash("write lock on: nothing changes the registry until W" if shell.write_lock else "write lock off")


def _set_theme(view: View, name: str) -> None:
    for theme in get_args(ThemeName):
        if name == theme:
            view.shell.painter.theme = theme
            view.shell.repaint()
            return
    view.shell.flash(f"choose one of {', '.join(get_args(ThemeName))}", "warn")


def _set_zone(view: View, name: str) -> None:
    for zone in get_args(Zone):
        if name == zone:
            view.shell.zone = zone
            view.shell.repaint()
            view.data_changed()
            return
    view.shell.flash(f"choose one of {', '.join(get_args(Zone))}", "warn")


def _set_mouse(view: View, word: str) -> None:
    if word not in {"on", "off"}:
        view.shell.flash("say on or off", "warn")
        return
    view.shell.set_mouse(is_on=word == "on")
    view.shell.flash(f"mouse {word}")


EVERYWHERE: tuple[Command[View], ...] = (
    Command("models", (), "Go to the models", _to(ModelsPlace()), group="Go", also=("m",)),
    Command(
        "versions", (), "Go to the versions of a model", _go_to_versions, group="Go", argument="MODEL", also=("v",)
    ),
    Command(
        "compare",
        (),
        "Compare versions, the baseline first",
        lambda view, text: compare_typed(view.shell, None, text),
        group="Go",
        argument="REF REF",
    ),
    Command("log", ("@",), "Show the command log", _to(CommandLogPlace()), group="Go"),
    Command("help", ("?", "f1"), "Show all keys", _to(HelpPlace()), group="Go"),
    Command("palette", ("ctrl+p",), "Find a command by its words", _to(PalettePlace()), group="Go"),
    Command("command", (":",), "Type a command", _ask_command, group="Go", hint="command"),
    Command("review", (), "Go to what waits for a review", _to(ReviewsPlace()), group="Go", also=("r",)),
    Command(
        "deployments",
        (),
        "Go to who serves what",
        lambda view, words: view.shell.go(DeploymentsPlace(words)),
        group="Go",
        argument="WORDS",
        also=("d",),
    ),
    Command("audit", (), "Go to who did what, to one model or to all", _go_to_audit, group="Go", argument="MODEL"),
    Command("doctor", (), "Go to the health of the store", _to(HealthPlace()), group="Go", also=("health",)),
    Command("transfers", ("t",), "Go to the transfers", _go_to_transfers, group="Go", also=("t",)),
    Command(
        "back",
        ("h", "left", "backspace"),
        "Go back",
        lambda view, _: view.shell.back(),
        lambda view: "" if view.shell.depth > 1 else "this is the first screen (q leaves)",
        group="Go",
    ),
    Command("escape", ("escape",), "Clear the filter or the marks, else go back", _escape, group="Go"),
    Command(
        "last", ("-",), "Open the view again that was closed last", lambda view, _: view.shell.reopen_last(), group="Go"
    ),
    Command("quit", ("q",), "Go back, or leave from the first screen", _quit, group="Go", also=("q",)),
    Command("leave", ("ctrl+c", "ctrl+q"), "Leave", lambda view, _: view.shell.leave(), group="Go"),
    Command("refresh", ("r",), "Look at the bucket now", lambda view, _: view.shell.refreshing.ask(), group="Read"),
    Command("redraw", ("ctrl+l",), "Draw the screen anew", _redraw, group="Show"),
    Command("lock", ("W",), "Turn the write lock on or off", _toggle_lock, _why_not_unlock, group="Write"),
    Command("theme", (), "Choose the colours", _set_theme, group="Show", argument="dark|light|terminal"),
    Command("time", (), "Show times in a zone", _set_zone, group="Show", argument="local|utc"),
    Command("mouse", (), "Turn the mouse on or off", _set_mouse, group="Show", argument="on|off"),
)
