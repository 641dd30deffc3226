"""Lines for a model card, Markdown that somebody else wrote.

By `rich.markdown`, in a thread: the toolkit's own widget needs seconds for a card with tables. Nothing is hidden from
the reader, HTML and the addresses of links and images included; nothing is opened; and what a terminal might act on is
made visible after the entities were decoded.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Heading, Markdown, MarkdownElement, TableDataElement, TableElement, TextElement
from rich.segment import Segment
from rich.style import Style
from rich.theme import Theme

from bucketry.schema.documents.cards import split_front_matter
from bucketry.schema.text import displayable
from bucketry.show.spans import Line, Role, Span, line, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from markdown_it.token import Token
    from rich.console import ConsoleOptions, JustifyMethod, RenderResult

MOST_FRONT_MATTER_LINES = 200
MOST_CARD_LINES = 20_000
LEAST_COLUMNS = 40
CODE_INDENT = 4
CELL_GAP = "  "
COLUMNS_OF_A_LEVEL, LEAST_COLUMNS_INSIDE = 4, 16
DEEPEST_LEVEL = 18
"""The parser drops without a word what is nested twenty levels deep."""
TOO_DEEP = "This card is nested too deeply to be laid out; this is its source."

_ROLES: Mapping[str, Role] = {"red": "title", "green": "accent", "blue": "dim", "yellow": "strong"}
"""Rich says what a text is by its style alone; so each kind gets a colour of its own, which is never drawn."""
_THEME = Theme(
    {
        **{f"markdown.h{level}": Style(color="red") for level in range(1, 7)},
        "markdown.code": Style(color="green"),
        "markdown.code_block": Style(color="green"),
        "markdown.link": Style(color="green"),
        "markdown.link_url": Style(color="blue"),
        "markdown.hr": Style(color="blue"),
        "markdown.block_quote": Style(color="blue"),
        "markdown.table.border": Style(color="blue"),
        "markdown.table.header": Style(color="yellow"),
        "markdown.strong": Style(color="yellow"),
        "markdown.em": Style(),
        "markdown.item.bullet": Style(color="blue"),
        "markdown.item.number": Style(color="blue"),
    },
)
_AS_ASCII = {" \u2022 ": " - ", "\u258c ": "| "}
"""Rich's bullets and the bars beside its quotations."""


def card_lines(text: str, width: int) -> list[Line]:
    """Return a card's lines, at most so wide."""
    front, body = split_front_matter(text)
    lines: list[Line] = []
    if front:
        given = front.splitlines()
        shown = [f"  {displayable(part)}" for part in given[:MOST_FRONT_MATTER_LINES]]
        if len(given) > len(shown):
            shown.append(f"  and {len(given) - len(shown):,} more lines")
        lines += [line(Span("metadata", "header")), *(line(Span(text, "dim")) for text in shown), line()]
    card = _Card(displayable(body, newlines=True))
    columns = max(LEAST_COLUMNS, width)
    if card.depth >= min(DEEPEST_LEVEL, (columns - LEAST_COLUMNS_INSIDE) // COLUMNS_OF_A_LEVEL):
        lines += [line(Span(TOO_DEEP, "warn")), line()]
        return lines + wrapped(body, columns, most_lines=MOST_CARD_LINES)
    return lines + _laid_out(card, columns)


def _laid_out(card: _Card, columns: int) -> list[Line]:
    console = Console(
        file=io.StringIO(),
        width=columns,
        height=100,
        theme=_THEME,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    options = console.options.update(width=columns)
    options.encoding = "ascii"  # tables are then drawn with - and |
    rendered = console.render_lines(card, options, pad=False)
    if rendered and not any(one.text.strip() for one in rendered[0]):  # Rich begins some elements with an empty line
        rendered = rendered[1:]
    lines: list[Line] = []
    for segments in rendered[:MOST_CARD_LINES]:
        spans: list[Span] = []
        for one in segments:
            if not one.control:
                colour = one.style.color.name if one.style is not None and one.style.color is not None else ""
                spans.append(Span(_AS_ASCII.get(one.text, one.text), _ROLES.get(colour, "plain")))
        lines.append(tuple(spans))
    if len(rendered) > MOST_CARD_LINES:
        lines.append(line(Span(f"and {len(rendered) - MOST_CARD_LINES:,} more lines", "dim")))
    return lines


class _Heading(Heading):
    """A heading on the left, with its signs, so that it can be told without colour."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}

    def on_enter(self, context: object) -> None:
        """Begin with as many signs as the heading's level."""
        super().on_enter(context)  # type: ignore[arg-type]
        self.text.append(f"{'#' * int(self.tag[1:])} ", context.current_style)  # type: ignore[attr-defined]


class _Code(TextElement):
    """Lines of code as they are, without a guess at their colours: that takes longer than all the rest."""

    style_name = "markdown.code_block"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.rstrip()
        inner = options.update(width=max(1, options.max_width - CODE_INDENT))
        for segments in console.render_lines(self.text, inner, pad=False):
            yield Segment(" " * CODE_INDENT)
            yield from segments
            yield Segment.line()


class _CardTable(TableElement):
    """A table. One whose rows fit on a line each is written at once, in a quarter of the time that Rich needs."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        head = self.header.row.cells if self.header is not None and self.header.row is not None else []
        rows = [row.cells for row in self.body.rows] if self.body is not None else []
        widths = [max(_cells_of(row[place]) for row in (head, *rows) if place < len(row)) for place in range(len(head))]
        if not head or sum(widths) + len(CELL_GAP) * (len(widths) - 1) > options.max_width:
            yield from super().__rich_console__(console, options)
            return
        yield from _row_segments(console, head, widths, console.get_style("markdown.table.header"))
        border = console.get_style("markdown.table.border")
        yield Segment(CELL_GAP.join("-" * width for width in widths), border)
        yield Segment.line()
        for row in rows:
            yield from _row_segments(console, row, widths, Style.null())


def _cells_of(cell: TableDataElement) -> int:
    return cell_len(cell.content.plain)


def _padded(cell: TableDataElement, width: int) -> str:
    text = cell.content.plain
    spaces = " " * (width - cell_len(text))
    return spaces + text if cell.justify == "right" else text + spaces


def _row_segments(
    console: Console, row: Iterable[TableDataElement], widths: Iterable[int], style: Style
) -> Iterator[Segment]:
    cells = list(zip(row, widths, strict=False))
    if not any(cell.content.spans for cell, _ in cells):  # most rows: one segment is drawn faster than ten
        yield Segment(CELL_GAP.join(_padded(cell, width) for cell, width in cells), style)
        yield Segment.line()
        return
    for place, (cell, width) in enumerate(cells):
        text = cell.content
        spaces = " " * (width - _cells_of(cell))
        if place:
            yield Segment(CELL_GAP)
        if cell.justify == "right":
            yield Segment(spaces)
        if text.spans:
            yield from Segment.apply_style(text.render(console), style)
        else:
            yield Segment(text.plain, style)
        if cell.justify != "right":
            yield Segment(spaces)
    yield Segment.line()


class _Card(Markdown):
    """Markdown in which every token is shown."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _CardTable,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
        self.depth = max((token.level for token in self.parsed), default=0)
        _show_everything(self.parsed)


def _show_everything(tokens: Iterable[Token]) -> None:
    """Change tokens in place so that none is dropped, and none hides what a terminal would act on."""
    for token in tokens:
        token.content = displayable(token.content, newlines=True)
        for name, value in token.attrs.items():
            if isinstance(value, str):
                token.attrs[name] = displayable(value)
        if token.type == "image":
            _become_text(token, f"[image: {token.content}] ({token.attrs.get('src', '')})")
        elif token.type == "html_inline":
            _become_text(token, token.content)
        elif token.type == "html_block":
            token.type = "code_block"
        elif token.type == "code_inline":
            token.content = f"`{token.content}`"
        elif token.type in {"s_open", "s_close"}:
            _become_text(token, "~~")
        if token.children:
            _show_everything(token.children)


def _become_text(token: Token, content: str) -> None:
    token.type, token.tag, token.nesting, token.content, token.children = "text", "", 0, content, None
