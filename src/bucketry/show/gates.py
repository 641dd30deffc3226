"""The gates of a policy in words: which hold, by how much, and why one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.show.figures import count_of, precise_number, short_digests
from bucketry.show.spans import Line, Span, TextPage, flowing
from bucketry.show.tables import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.schema.documents.gates import GateResult

MOST_FAILED_TOLD = 3


def gate_words(gate: GateResult) -> str:
    """Return one gate in a sentence."""
    why = f": {short_digests(gate.reason)}" if gate.reason else ""
    return f"gate {'ok' if gate.passed else 'FAILED'} {gate.gate}{why}"


def gates_span(gates: Sequence[GateResult]) -> Span:
    """Return how many gates fail, else how many hold."""
    failed = sum(not gate.passed for gate in gates)
    if not gates:
        return Span("none", "dim")
    return Span(f"{failed} of {len(gates)} FAILED", "bad") if failed else Span(f"{len(gates)} ok", "good")


def failed_gate_lines(gate: GateResult, page: TextPage) -> list[Line]:
    """Return a gate that fails and why, broken where the page is too narrow."""
    reason = [Span(word) for word in short_digests(page.text(gate.reason)).split()]
    head = Span(f"gate FAILED {page.text(gate.gate)}:", "bad")
    return flowing([head, *reason], page.width, between=" ", indent="  ")


def more_failed(count: int) -> str:
    """Return that more gates fail than were told."""
    return f"and {count_of(count, 'gate')} more FAILED"


def _number(value: float | None) -> str:
    return "" if value is None else precise_number(value)


GATE_COLUMNS: tuple[Column[GateResult], ...] = (
    Column("holds", "HOLDS", lambda gate: Span("ok", "good") if gate.passed else Span("FAILED", "bad"), 6),
    Column("gate", "GATE", lambda gate: gate.gate, 8, 80),
    Column("value", "VALUE", lambda gate: _number(gate.value), 7, right=True),
    Column("limit", "LIMIT", lambda gate: _number(gate.limit), 7, right=True),
    Column("because", "BECAUSE", lambda gate: gate.reason, 8, 240),
)
