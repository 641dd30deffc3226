"""The move of an alias from a screen: what a user is shown before it, what is typed, and how it is taken back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError, ContendedError, RejectedError
from bucketry.registry.core.registers import load_alias, load_existing_head
from bucketry.registry.serving.aliases import promote, roll_back, undo_move
from bucketry.schema.names import AliasName, parse_alias
from bucketry.show.spans import Span, line
from bucketry.tui.actions.panels import (
    PANEL_COLUMNS,
    Move,
    MovePanel,
    changed_lines,
    how_long,
    reason_line,
    refusal_by,
    refusal_lines,
    refuse,
    same_as,
    text_behind,
    with_reason,
)
from bucketry.tui.actions.promotion_preview import (
    promotion_lines,
    read_preview,
    read_refusals,
    read_rollback,
    rollback_lines,
)
from bucketry.tui.actions.seen import as_shown_check, check_unchanged, check_unmoved
from bucketry.tui.drawing.marks import PRODUCTION_NAMES, is_production, production_of
from bucketry.tui.shell.asking import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bucketry.index.views import ListedAlias, VersionLine
    from bucketry.registry.core.session import Session
    from bucketry.registry.serving.aliases import AliasMove
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.names import ModelName
    from bucketry.show.spans import Line
    from bucketry.tui.actions.promotion_preview import PromotionPreview
    from bucketry.tui.shell.view import Shell


USUAL_ALIASES = (AliasName("production"), AliasName("staging"))
MOST_ALIASES_SHOWN = 4
"""Above the prompt, the usual ones first; any other can be typed."""


def ask_promotion(shell: Shell, row: VersionLine, *, typed: str = "", told: str = "") -> None:
    """Ask for the alias, show what would change, and ask for the model's name where the alias serves for real.

    Which aliases the registry would refuse is read meanwhile and shown before one is typed. `told` is what changed
    since `typed` was typed.
    """
    known = shell.source.aliases(row.model)
    names = sorted(
        {*(named.alias for named in known), *USUAL_ALIASES}, key=lambda name: (name not in USUAL_ALIASES, name)
    )
    serving = {named.alias for named in known if is_production(named)}
    refused: dict[AliasName, str] = {}
    typed = typed or shell.asking.drafts.pop(_promotion_draft(row), "")

    def answer(text: str) -> None:
        alias, reason = _split(text)
        if alias in serving or alias in PRODUCTION_NAMES:
            MovePanel(shell, replace(_promotion(shell, row, alias), reason=reason)).open()
        else:
            _look_first(shell, row, alias, reason, text)

    def asked() -> Question:
        return Question(
            f"promote {row.model}:{row.version} to alias:",
            answer,
            initial=typed,
            panel=_alias_lines(shell, known, names[:MOST_ALIASES_SHOWN], refused, told),
            panel_title=f"PROMOTE {row.model}:{row.version}",
            why_not=_why_no_alias,
            enter="look",
            complete=lambda text: [name for name in names if name.startswith(text)],
        )

    question = asked()

    def take(found: Mapping[AliasName, str]) -> None:
        refused.update(found)
        if refused:
            shell.asking.revise(question, asked())

    shell.ask(question)
    shell.read(
        "may-promote",
        ("gates", f"{row.model}:{row.version}"),
        lambda session: read_refusals(session, row.model, row.version, names[:MOST_ALIASES_SHOWN]),
        take,
        lambda error: refuse(shell, question, error),
    )


def ask_rollback(shell: Shell, row: VersionLine) -> None:
    """Ask for the alias to roll back, show where it would go, and ask for the model's name."""
    found = shell.source.aliases(row.model)
    production = production_of(found)

    def answer(text: str) -> None:
        alias, reason = _split(text)
        MovePanel(shell, replace(_rollback(shell, row.model, alias), reason=reason)).open()

    question = Question(
        f"roll back which alias of {row.model}:",
        answer,
        initial=production.alias if production else "",
        why_not=_why_no_alias,
        enter="look",
        complete=lambda text: [named.alias for named in found if named.alias.startswith(text)],
    )

    def check_has_aliases(session: Session) -> None:
        if not load_existing_head(session, row.model).aliases:
            raise RejectedError(f"no alias of {row.model} ever named a version", advice="promote one first (P)")

    def give_up(error: BucketryError) -> None:
        refuse(shell, question, error)

    shell.ask(question)
    shell.read(
        "may-roll-back",
        ("aliases", str(row.model)),
        refusal_by(check_has_aliases),
        lambda refusal: None if refusal is None else give_up(refusal),
        give_up,
    )


def _alias_lines(
    shell: Shell,
    known: Sequence[ListedAlias],
    names: Sequence[AliasName],
    refused: Mapping[AliasName, str],
    told: str,
) -> tuple[Line, ...]:
    """Return where the aliases are, and which of them the registry would not move to the version."""
    width = shell.size.width - PANEL_COLUMNS
    at = {named.alias: named.version for named in known}
    lines = changed_lines(told, width)
    for name in names:
        where = f"names v{at[name]}" if name in at else "not set"
        lines.append(line(Span(name, "strong"), f"  {where}"))
        if name in refused:
            lines += refusal_lines(refused[name], width, indent="   ")
    example = next((name for name in names if name not in refused), "staging")
    lines.append(line(Span(f"a reason may follow the alias:  {example} WHY", "dim")))
    return tuple(lines)


def _split(text: str) -> tuple[AliasName, str]:
    """Return the alias that was typed, and the reason behind it."""
    word, _, reason = text.strip().partition(" ")
    return parse_alias(word), reason.strip()


def _look_first(shell: Shell, row: VersionLine, alias: AliasName, reason: str, text: str) -> None:
    """Move an alias that is not protected at once; for one that turns out to be, ask as for any such."""
    move = replace(_promotion(shell, row, alias), reason=reason)

    def done(preview: PromotionPreview) -> None:
        if preview.is_there:
            shell.flash(f"{alias} names {row.model}:{row.version} already", "warn")
        elif preview.is_protected:
            MovePanel(shell, move, preview).open()
        else:
            move.go(preview, reason, text)

    shell.flash(f"looking at {row.model}:{row.version} and {alias} ...", "dim")
    shell.read("preview", move.words, move.look, done)


def _promotion(shell: Shell, row: VersionLine, alias: AliasName, *, is_seen: bool = True) -> Move:
    """Return what moves an alias to a version; not `is_seen`: its state may be another than the row's by now."""
    model, version, reference = row.model, row.version, f"{row.model}:{row.version}"
    draft = f"{_promotion_draft(row)} {alias}"

    def look(session: Session) -> PromotionPreview:
        if is_seen:
            check_unchanged(session, row)
        return read_preview(session, model, version, alias)

    def head(preview: PromotionPreview | None) -> Line:
        said = "..." if preview is None else _now_text(shell, preview) if preview.now else "new"
        return line(Span(f"{model}  v{version}  ->  alias {alias}", "strong"), f"   ({said})")

    def tail(preview: PromotionPreview | None) -> tuple[Line, ...]:
        undo = "U takes it back" if preview is None else "U takes the alias away again"
        undo = f"B rolls back to v{preview.now}" if preview is not None and preview.now else undo
        undo = "nothing changes" if preview is not None and preview.is_there else f"undo: {undo}"
        return (line(undo), same_as(shell, "promote", reference, alias))

    def go(preview: PromotionPreview, reason: str, text: str) -> None:
        def work(session: Session) -> AliasMove:
            check = as_shown_check(session, model, alias, preview.now, version=version, state=preview.state)
            return promote(session, model, version, alias, reason=reason, check=check)

        def failed(error: BucketryError) -> None:
            is_named = text_behind(str(model), text) is not None  # else the alias alone was typed
            if not isinstance(error, ContendedError):
                shell.asking.keep(*((draft, reason) if is_named else (_promotion_draft(row), text)))
                shell.fail(error)
            elif not is_named:
                ask_promotion(shell, row, typed=text, told=error.message)
            else:
                _ask_anew(shell, _promotion(shell, row, alias, is_seen=False), text, reason, told=error.message)

        shell.write(with_reason(("promote", reference, alias), reason), work, partial(_moved, shell), failed)

    return Move(
        verb="promote",
        title="PROMOTE TO",
        model=model,
        alias=alias,
        words=("gates", reference, "--alias", alias),
        draft=draft,
        look=look,
        head=head,
        body=lambda preview, width: promotion_lines(preview, width, shell.zone, shell.session.clock.timestamp()),
        tail=tail,
        go=go,
    )


def _ask_anew(shell: Shell, move: Move, text: str, reason: str, *, told: str = "") -> None:
    """Ask for a move again, with what was typed, after somebody else was quicker; what they did may be told."""
    MovePanel(shell, replace(move, told=told, typed=text, reason=reason)).open()


def _promotion_draft(row: VersionLine) -> str:
    return f"promote {row.model}:{row.version}"


def _rollback(shell: Shell, model: ModelName, alias: AliasName) -> Move:
    draft = f"roll back {model}@{alias}"

    def head(preview: PromotionPreview | None) -> Line:
        if preview is None:
            return line(Span(f"{model}  alias {alias}", "strong"), "   (...)")
        now = f"v{preview.now}" if preview.now else "nothing"
        said = _now_text(shell, preview) if preview.now else "it names nothing now"
        return line(Span(f"{model}  alias {alias}  {now}  ->  v{preview.version}", "strong"), f"   ({said})")

    def tail(preview: PromotionPreview | None) -> tuple[Line, ...]:
        to = f"back to v{preview.now}" if preview is not None and preview.now else "forth again"
        return (line(f"undo: U moves it {to}"), same_as(shell, *_rollback_words(model, alias, preview)))

    def go(preview: PromotionPreview, reason: str, text: str) -> None:
        def work(session: Session) -> AliasMove:
            version, state = preview.version, preview.state
            check = as_shown_check(session, model, alias, preview.now, version=version, state=state)
            return roll_back(session, model, alias, to=version, reason=reason, check=check)

        def failed(error: BucketryError) -> None:
            if isinstance(error, ContendedError):
                _ask_anew(shell, _rollback(shell, model, alias), text, reason, told=error.message)
            else:
                shell.asking.keep(draft, reason)
                shell.fail(error)

        words = with_reason(_rollback_words(model, alias, preview), reason)
        shell.write(words, work, partial(_moved, shell), failed)

    return Move(
        verb="roll back",
        title="ROLL BACK",
        model=model,
        alias=alias,
        words=("aliases", str(model), "--history", alias),
        draft=draft,
        look=lambda session: read_rollback(session, model, alias),
        head=head,
        body=lambda preview, width: rollback_lines(preview, width, shell.zone, shell.session.clock.timestamp()),
        tail=tail,
        go=go,
    )


def _rollback_words(model: ModelName, alias: AliasName, preview: PromotionPreview | None) -> tuple[str, ...]:
    """Return the command that goes back to the version that was shown, and to no other."""
    to = ("--to", str(preview.version)) if preview is not None else ()
    return ("rollback", str(model), alias, *to)


def _now_text(shell: Shell, preview: PromotionPreview) -> str:
    return f"now v{preview.now}{how_long(shell, preview.since)}"


def _moved(shell: Shell, move: AliasMove) -> None:
    """Say what moved, and remember how it is undone: the move is taken back, which is an event of its own."""
    before = f"v{move.previous}" if move.previous else "nothing"
    after = f"v{move.target}" if move.target else "nothing"
    shell.flash(f"{move.model}@{move.alias}: {before} -> {after}", "good")
    if move.previous != move.target:
        shell.undo = (f"move {move.alias}", lambda: _ask_undo(shell, move))


def _ask_undo(shell: Shell, move: AliasMove) -> None:
    """Ask as for any move: where the alias serves for real, for the model's name below what would change."""
    shell.undo = (f"move {move.alias}", lambda: _ask_undo(shell, move))  # it can be asked for again until it is done
    named = next((one for one in shell.source.aliases(move.model) if one.alias == move.alias), None)
    if move.alias in PRODUCTION_NAMES or (named is not None and is_production(named)):
        _ask_undo_for_real(shell, move)
        return

    def looked(register: AliasRegister | None) -> None:
        if register is not None and register.protected:
            _ask_undo_for_real(shell, move)
        else:
            label = f"undo: {move.alias} {_step(move)}, reason (may be empty):"
            kept = shell.asking.drafts.pop(_undo_draft(move), "")
            _ask_step(shell, move, partial(Question, label, initial=kept, enter="undo"), lambda text: text.strip())

    shell.read(
        "undo",
        ("aliases", str(move.model)),
        lambda session: load_alias(session, move.model, move.alias).state,
        looked,
    )


def _ask_undo_for_real(shell: Shell, move: AliasMove) -> None:
    model, alias, previous = move.model, move.alias, move.previous
    name = str(model)
    if previous is not None:
        MovePanel(shell, _undo(shell, move, previous)).open()
        return
    kept = shell.asking.drafts.pop(_undo_draft(move), "")
    panel = (
        line(Span(f"{model}  alias {alias}  {_step(move)}", "strong")),
        line("It named nothing before: whoever follows it is left without a version."),
        reason_line(name, kept),
        same_as(shell, *_undo_words(move)),
    )
    question = partial(
        Question,
        f"type  {model}  to undo:",
        panel=panel,
        panel_title="UNDO ON PROD",
        is_production=True,
        why_not=lambda text: "" if text_behind(name, text) is not None else "name differs",
        enter="undo",
    )
    _ask_step(shell, move, question, lambda text: text_behind(name, text) or kept)


def _ask_step(
    shell: Shell, move: AliasMove, question: Callable[..., Question], reason_in: Callable[[str], str]
) -> None:
    """Ask before a move is taken back; if another was quicker, the prompt stays with its text and says who."""

    def answer(text: str) -> None:
        def overtaken(error: BucketryError) -> None:
            again = replace(asked, initial=text)
            shell.ask(again)
            refuse(shell, again, error)

        _take_back(shell, move, reason_in(text), overtaken)

    asked = question(on_answer=answer)
    shell.ask(asked)


def _undo(shell: Shell, move: AliasMove, previous: int) -> Move:
    """Return what takes a move back, to the version that the alias named before."""
    model, alias = move.model, move.alias

    def look(session: Session) -> PromotionPreview:
        check_unmoved(session, model, alias, load_alias(session, model, alias).state, move.target)
        return read_preview(session, model, previous, alias, gated=False)

    def go(_: PromotionPreview, reason: str, text: str) -> None:
        def overtaken(_: BucketryError) -> None:  # the panel looks again, and says who was quicker
            _ask_anew(shell, _undo(shell, move, previous), text, reason)

        _take_back(shell, move, reason, overtaken)

    def tail(_: PromotionPreview | None) -> tuple[Line, ...]:
        return (line("undo: P or B moves it again"), same_as(shell, *_undo_words(move)))

    return replace(
        _rollback(shell, model, alias),
        verb="undo",
        title="UNDO ON",
        look=look,
        tail=tail,
        go=go,
        draft=_undo_draft(move),
    )


def _undo_draft(move: AliasMove) -> str:
    return f"undo {move.model}@{move.alias}"


def _take_back(shell: Shell, move: AliasMove, reason: str, overtaken: Callable[[BucketryError], None]) -> None:
    def work(session: Session) -> AliasMove:
        check = as_shown_check(session, move.model, move.alias, move.target)
        return undo_move(session, move.model, move.alias, generation=move.generation, reason=reason, check=check)

    def failed(error: BucketryError) -> None:
        if isinstance(error, ContendedError):
            overtaken(error)
        else:
            shell.asking.keep(_undo_draft(move), reason)
            shell.fail(error)

    def done(undone: AliasMove) -> None:
        names = f"v{undone.target}" if undone.target else "nothing"
        shell.flash(f"undone: {undone.model}@{undone.alias} names {names} again", "good")

    shell.write(with_reason(_undo_words(move), reason), work, done, failed)


def _undo_words(move: AliasMove) -> tuple[str, ...]:
    return ("undo", str(move.model), move.alias, "--generation", str(move.generation))


def _step(move: AliasMove) -> str:
    """Return from where to where an undo moves the alias."""
    return " -> ".join(f"v{version}" if version else "nothing" for version in (move.target, move.previous))


def _why_no_alias(text: str) -> str:
    try:
        _split(text)
    except BucketryError as error:
        return error.message if text.strip() else "name an alias (tab completes)"
    return ""
