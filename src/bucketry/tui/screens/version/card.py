"""What a version's card says."""

from __future__ import annotations

from bucketry.registry.core.resolve import resolve
from bucketry.registry.reading.cards import find_card
from bucketry.schema.documents.cards import LARGEST_CARD_BYTES
from bucketry.show.figures import size_text
from bucketry.show.spans import Line, Span, line
from bucketry.tui.screens.version.tab import TabContent, TabRequest


def load_card(request: TabRequest) -> TabContent:
    """Return the card as lines; costs the head, the manifest and the file, unless they were read before."""
    card = find_card(request.session, resolve(request.session, request.reference))
    if card is None:
        publish = f"bucketry publish {request.row.model} FILES --card README.md"
        return TabContent(
            (
                line("This version has no card."),
                line("A README.md among its files, or the file that --card names, becomes one:"),
                line(Span(f"  {publish}", "accent")),
            )
        )
    from bucketry.tui.drawing.card_lines import card_lines  # noqa: PLC0415 - loads a parser of Markdown: not before a card

    lines: list[Line] = [line(Span(card.path, "title"), Span("   m shows its source in a pager", "dim"))]
    if card.is_cut:
        cut = f"Only the first {size_text(LARGEST_CARD_BYTES)} are shown, and they were not verified."
        lines.append(line(Span(cut, "warn")))
    return TabContent((*lines, line(), *card_lines(card.text, request.width)))
