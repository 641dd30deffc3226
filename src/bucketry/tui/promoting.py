"""How does an alias move from a screen, and what is a user shown before it does?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.registry.aliases import promote, roll_back, unset
from bucketry.registry.gating import check_version_gates
from bucketry.registry.index_views import find_model_line
from bucketry.registry.registers import load_alias, load_existing_head
from bucketry.registry.reviewing import load_standing
from bucketry.registry.rows import load_row
from bucketry.schema.names import parse_alias
from bucketry.tui.figures import short_age
from bucketry.tui.marks import PRODUCTION_NAMES, production_of
from bucketry.tui.paint import Span, line
from bucketry.tui.prompts import Question
from bucketry.tui.seen import check_unchanged, check_unmoved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bucketry.registry.aliases import AliasMove
    from bucketry.registry.index_views import Named, VersionLine
    from bucketry.registry.reviewing import Standing
    from bucketry.registry.session import Session
    from bucketry.schema.gates import GateResult
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.tui.app import BucketryApp
    from bucketry.tui.paint import Line


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What a promotion would change."""

    alias: AliasName
    now: int | None
    since: str
    standing: Standing
    gates: tuple[GateResult, ...]

    @property
    def is_protected(self) -> bool:
        return self.alias in self.standing.policy.protected_aliases


def ask_promotion(shell: BucketryApp, row: VersionLine) -> None:
    """Ask for the alias, show what would change, and ask for the model's name if the alias is protected."""
    names = _alias_names(shell, row.model)

    def answer(text: str) -> None:
        alias = parse_alias(text.strip())
        reference = f"{row.model}:{row.version}"
        shell.flash(f"looking at {reference} and {alias} ...", "dim")
        shell.read(
            "prospect",
            ("gates", reference, "--alias", alias),
            lambda session: _look(session, row, alias),
            lambda prospect: _confirm(shell, row, prospect),
        )

    shell.ask(
        Question(
            f"promote {row.model}:{row.version} to alias:",
            answer,
            why_not=_why_no_alias,
            complete=lambda text: [name for name in names if name.startswith(text)],
        )
    )


def ask_rollback(shell: BucketryApp, row: VersionLine) -> None:
    """Ask for the alias to roll back, then for the model's name."""
    found = _aliases(shell, row.model)
    production = production_of(found)

    def answer(text: str) -> None:
        alias = parse_alias(text.strip())
        now = next((named.version for named in found if named.alias == alias), None)
        _confirm_rollback(shell, row.model, alias, now)

    shell.ask(
        Question(
            f"roll back which alias of {row.model}:",
            answer,
            initial=production.alias if production else "",
            why_not=_why_no_alias,
            complete=lambda text: [named.alias for named in found if named.alias.startswith(text)],
        )
    )


def _look(session: Session, row: VersionLine, alias: AliasName) -> _Prospect:
    check_unchanged(session, row)
    register = load_alias(session, row.model, alias).state
    head = load_existing_head(session, row.model)
    found = load_row(session, head, row.version)
    return _Prospect(
        alias=alias,
        now=register.target.version if register is not None and register.target is not None else None,
        since=register.trail.records[-1].at if register is not None and register.trail.records else "",
        standing=load_standing(session, head, found, alias=alias),
        gates=check_version_gates(session, head, found, alias=alias),
    )


def _confirm(shell: BucketryApp, row: VersionLine, prospect: _Prospect) -> None:
    model = str(row.model)
    serves = prospect.is_protected or prospect.alias in PRODUCTION_NAMES

    def promote_now(_: str) -> None:
        _promote(shell, row.model, row.version, prospect.alias, seen=prospect.now, row=row)

    if not prospect.is_protected:
        promote_now("")
        return
    shell.ask(
        Question(
            f"type  {model}  to promote:",
            promote_now,
            panel=_prospect_lines(shell, row, prospect),
            panel_title="PROMOTE TO PROD" if serves else "PROMOTE",
            is_production=serves,
            why_not=lambda text: "" if text == model else "name differs",
        )
    )


def _prospect_lines(shell: BucketryApp, row: VersionLine, prospect: _Prospect) -> Sequence[Line]:
    now = (
        f"now v{prospect.now}, since {short_age(prospect.since, shell.session.ports.now())}" if prospect.now else "new"
    )
    approvals = prospect.standing.approvals
    failed = [gate for gate in prospect.gates if not gate.passed]
    by = f" by {', '.join(approvals.principals)}" if approvals.principals else ""
    required = prospect.standing.policy.approvals_required
    enough = approvals.are_enough or not required
    gates = f"{len(prospect.gates) - len(failed)} of {len(prospect.gates)}" if prospect.gates else "none"
    lines = [
        line(Span(f"{row.model}  v{row.version}  ->  alias {prospect.alias}", "strong"), f"   ({now})"),
        line(
            Span(f"approvals: {len(approvals.principals)} of {required}{by}", "good" if enough else "bad"),
            "   ",
            Span(f"gates: {gates}", "bad" if failed else "good"),
        ),
        *(line(Span(f"gate failed: {gate.gate}: {gate.reason}", "bad")) for gate in failed[:3]),
        line(f"undo: B rolls back to v{prospect.now}" if prospect.now else "undo: U takes the alias away again"),
        line(Span("same as:  " + shell.command_line("promote", f"{row.model}:{row.version}", prospect.alias), "dim")),
    ]
    return tuple(lines)


def _promote(
    shell: BucketryApp, model: ModelName, version: int, alias: AliasName, *, seen: int | None, row: VersionLine | None
) -> None:
    def work(session: Session) -> AliasMove:
        if row is not None:
            check_unchanged(session, row)
        check_unmoved(session, model, alias, seen)
        return promote(session, model, version, alias)

    shell.write(("promote", f"{model}:{version}", alias), work, lambda move: _moved(shell, move))


def _confirm_rollback(shell: BucketryApp, model: ModelName, alias: AliasName, now: int | None) -> None:
    name = str(model)
    same = shell.command_line("rollback", name, alias)

    def work(session: Session) -> AliasMove:
        check_unmoved(session, model, alias, now)
        return roll_back(session, model, alias)

    shell.ask(
        Question(
            f"type  {name}  to roll back:",
            lambda _: shell.write(("rollback", name, alias), work, lambda move: _moved(shell, move)),
            panel=(
                line(Span(f"{name}  alias {alias}", "strong"), f"   (now {f'v{now}' if now else 'nothing'})"),
                line("goes back to the version before that may still be served"),
                line(Span(f"same as:  {same}", "dim")),
            ),
            panel_title="ROLL BACK PROD" if alias in PRODUCTION_NAMES else "ROLL BACK",
            is_production=alias in PRODUCTION_NAMES,
            why_not=lambda text: "" if text == name else "name differs",
        )
    )


def _moved(shell: BucketryApp, move: AliasMove) -> None:
    """Say what moved, and remember how it is undone: by moving it back, which is an event of its own."""
    before = f"v{move.previous}" if move.previous else "nothing"
    after = f"v{move.target}" if move.target else "nothing"
    shell.flash(f"{move.model}@{move.alias}: {before} -> {after}", "good")
    if move.previous == move.target:
        return
    shell.undo = (f"move {move.alias}", _counterpart(shell, move))


def _counterpart(shell: BucketryApp, move: AliasMove) -> Callable[[], None]:
    model, alias = move.model, move.alias
    previous = move.previous
    if previous is None:

        def take_away(session: Session) -> AliasMove:
            check_unmoved(session, model, alias, move.target)
            return unset(session, model, alias)

        return lambda: shell.write(("unset", str(model), alias), take_away, lambda undone: _told(shell, undone))

    def move_back(session: Session) -> AliasMove:
        check_unmoved(session, model, alias, move.target)
        return roll_back(session, model, alias, to=previous)

    words = ("rollback", str(model), alias, "--to", str(previous))
    return lambda: shell.write(words, move_back, lambda undone: _told(shell, undone))


def _told(shell: BucketryApp, move: AliasMove) -> None:
    shell.flash(
        f"undone: {move.model}@{move.alias} names {f'v{move.target}' if move.target else 'nothing'} again", "good"
    )


def _aliases(shell: BucketryApp, model: ModelName) -> tuple[Named, ...]:
    found = find_model_line(shell.source.index, model)
    return found.aliases if found is not None else ()


def _alias_names(shell: BucketryApp, model: ModelName) -> list[str]:
    return sorted({*(named.alias for named in _aliases(shell, model)), "production", "staging"})


def _why_no_alias(text: str) -> str:
    try:
        parse_alias(text.strip())
    except BucketryError as error:
        return error.message if text.strip() else "name an alias (tab completes)"
    return ""
