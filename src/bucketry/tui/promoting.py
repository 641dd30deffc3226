"""How does an alias move from a screen, and what is a user shown before it does?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.aliases import promote, roll_back, undo_move
from bucketry.registry.index_views import find_model_line
from bucketry.schema.names import parse_alias
from bucketry.tui.figures import short_age
from bucketry.tui.marks import PRODUCTION_NAMES, is_production, production_of
from bucketry.tui.move_panel import Move, MovePanel
from bucketry.tui.paint import Span, line
from bucketry.tui.prompts import Question
from bucketry.tui.prospects import promotion_lines, read_prospect, read_retreat, retreat_lines
from bucketry.tui.seen import AliasMovedError, check_state, check_unchanged, check_unmoved

if TYPE_CHECKING:
    from collections.abc import Callable

    from bucketry.registry.aliases import AliasMove
    from bucketry.registry.index_views import Named, VersionLine
    from bucketry.registry.session import Session
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.tui.app import BucketryApp
    from bucketry.tui.paint import Line
    from bucketry.tui.prospects import Prospect


def ask_promotion(shell: BucketryApp, row: VersionLine) -> None:
    """Ask for the alias, show what would change, and ask for the model's name where the alias serves for real."""
    found = _aliases(shell, row.model)
    names = sorted({*(named.alias for named in found), "production", "staging"})
    serving = {named.alias for named in found if is_production(named)}

    def answer(text: str) -> None:
        alias = parse_alias(text.strip())
        if alias in serving or alias in PRODUCTION_NAMES:
            MovePanel(shell, _promotion(shell, row, alias)).open()
        else:
            _look_first(shell, row, alias)

    shell.ask(
        Question(
            f"promote {row.model}:{row.version} to alias:",
            answer,
            why_not=_why_no_alias,
            enter="look",
            complete=lambda text: [name for name in names if name.startswith(text)],
        )
    )


def ask_rollback(shell: BucketryApp, row: VersionLine) -> None:
    """Ask for the alias to roll back, show where it would go, and ask for the model's name."""
    found = _aliases(shell, row.model)
    production = production_of(found)
    shell.ask(
        Question(
            f"roll back which alias of {row.model}:",
            lambda text: MovePanel(shell, _retreat(shell, row.model, parse_alias(text.strip()))).open(),
            initial=production.alias if production else "",
            why_not=_why_no_alias,
            enter="look",
            complete=lambda text: [named.alias for named in found if named.alias.startswith(text)],
        )
    )


def _look_first(shell: BucketryApp, row: VersionLine, alias: AliasName) -> None:
    """Move an alias that is not protected at once; for one that turns out to be, ask as for any such."""
    move = _promotion(shell, row, alias)

    def done(prospect: Prospect) -> None:
        if prospect.is_there:
            shell.flash(f"{alias} names {row.model}:{row.version} already", "warn")
        elif prospect.is_protected:
            MovePanel(shell, move, prospect).open()
        else:
            move.go(prospect)

    shell.flash(f"looking at {row.model}:{row.version} and {alias} ...", "dim")
    shell.read("prospect", move.words, move.look, done)


def _promotion(shell: BucketryApp, row: VersionLine, alias: AliasName) -> Move:
    model, version = row.model, row.version
    reference = f"{model}:{version}"

    def look(session: Session) -> Prospect:
        check_unchanged(session, row)
        return read_prospect(session, model, version, alias)

    def head(prospect: Prospect | None) -> Line:
        said = "..." if prospect is None else _now_text(shell, prospect) if prospect.now else "new"
        return line(Span(f"{model}  v{version}  ->  alias {alias}", "strong"), f"   ({said})")

    def tail(prospect: Prospect | None) -> tuple[Line, ...]:
        undo = "U takes it back" if prospect is None else "U takes the alias away again"
        undo = f"B rolls back to v{prospect.now}" if prospect is not None and prospect.now else undo
        undo = "nothing changes" if prospect is not None and prospect.is_there else f"undo: {undo}"
        same = shell.command_line("promote", reference, alias)
        return (line(undo), line(Span(f"same as:  {same}", "dim")))

    def go(prospect: Prospect) -> None:
        def work(session: Session) -> AliasMove:
            check_unchanged(session, row)
            check_unmoved(session, model, alias, prospect.now)
            return promote(session, model, version, alias)

        def failed(error: BucketryError) -> None:
            if isinstance(error, AliasMovedError):
                MovePanel(shell, replace(_promotion(shell, row, alias), told=error.message)).open()
            else:
                shell.fail(error)

        shell.write(("promote", reference, alias), work, lambda moved: _moved(shell, moved), failed)

    return Move(
        verb="promote",
        title="PROMOTE TO",
        model=model,
        alias=alias,
        words=("gates", reference, "--alias", alias),
        look=look,
        head=head,
        body=lambda prospect, width: promotion_lines(prospect, width, shell.zone, shell.session.ports.timestamp()),
        tail=tail,
        go=go,
    )


def _retreat(shell: BucketryApp, model: ModelName, alias: AliasName) -> Move:
    def head(prospect: Prospect | None) -> Line:
        if prospect is None:
            return line(Span(f"{model}  alias {alias}", "strong"), "   (...)")
        now = f"v{prospect.now}" if prospect.now else "nothing"
        said = _now_text(shell, prospect) if prospect.now else "it names nothing now"
        return line(Span(f"{model}  alias {alias}  {now}  ->  v{prospect.version}", "strong"), f"   ({said})")

    def tail(prospect: Prospect | None) -> tuple[Line, ...]:
        same = shell.command_line(*_retreat_words(model, alias, prospect))
        to = f"back to v{prospect.now}" if prospect is not None and prospect.now else "forth again"
        return (line(f"undo: U moves it {to}"), line(Span(f"same as:  {same}", "dim")))

    def go(prospect: Prospect) -> None:
        def work(session: Session) -> AliasMove:
            check_unmoved(session, model, alias, prospect.now)
            check_state(session, model, prospect.version, prospect.state)
            return roll_back(session, model, alias, to=prospect.version)

        def failed(error: BucketryError) -> None:
            if isinstance(error, AliasMovedError):
                MovePanel(shell, replace(_retreat(shell, model, alias), told=error.message)).open()
            else:
                shell.fail(error)

        words = _retreat_words(model, alias, prospect)
        shell.write(words, work, lambda moved: _moved(shell, moved), failed)

    return Move(
        verb="roll back",
        title="ROLL BACK",
        model=model,
        alias=alias,
        words=("aliases", str(model), "--history", alias),
        look=lambda session: read_retreat(session, model, alias),
        head=head,
        body=lambda prospect, width: retreat_lines(prospect, width, shell.zone, shell.session.ports.timestamp()),
        tail=tail,
        go=go,
    )


def _retreat_words(model: ModelName, alias: AliasName, prospect: Prospect | None) -> tuple[str, ...]:
    """Return the command that goes back to the version that was shown, and to no other."""
    to = ("--to", str(prospect.version)) if prospect is not None else ()
    return ("rollback", str(model), alias, *to)


def _now_text(shell: BucketryApp, prospect: Prospect) -> str:
    age = short_age(prospect.since, shell.session.ports.now()) if prospect.since else ""
    return f"now v{prospect.now}" + (", since just now" if age == "now" else f", for {age}" if age else "")


def _moved(shell: BucketryApp, move: AliasMove) -> None:
    """Say what moved, and remember how it is undone: the move is taken back, which is an event of its own."""
    before = f"v{move.previous}" if move.previous else "nothing"
    after = f"v{move.target}" if move.target else "nothing"
    shell.flash(f"{move.model}@{move.alias}: {before} -> {after}", "good")
    if move.previous == move.target:
        return
    shell.undo = (f"move {move.alias}", _counterpart(shell, move))


def _counterpart(shell: BucketryApp, move: AliasMove) -> Callable[[], None]:
    model, alias = move.model, move.alias

    def take_back(session: Session) -> AliasMove:
        check_unmoved(session, model, alias, move.target)
        return undo_move(session, model, alias, generation=move.generation)

    words = ("undo", str(model), alias, "--generation", str(move.generation))
    return lambda: shell.write(words, take_back, lambda undone: _told(shell, undone))


def _told(shell: BucketryApp, move: AliasMove) -> None:
    shell.flash(
        f"undone: {move.model}@{move.alias} names {f'v{move.target}' if move.target else 'nothing'} again", "good"
    )


def _aliases(shell: BucketryApp, model: ModelName) -> tuple[Named, ...]:
    found = find_model_line(shell.source.index, model)
    return found.aliases if found is not None else ()


def _why_no_alias(text: str) -> str:
    try:
        parse_alias(text.strip())
    except BucketryError as error:
        return error.message if text.strip() else "name an alias (tab completes)"
    return ""
