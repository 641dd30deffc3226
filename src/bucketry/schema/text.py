"""How is text that somebody else wrote shown safely?

Terminals, Textual and Rich act on ESC, C1 and bidi characters, and spreadsheets on formulas. Foreign text
passes through here once, where it is shown; what is stored and what `--json` prints stays exact.
"""

import re
import unicodedata

TAB_SPACES = 4

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, format (with all bidi ones), surrogate, private-use, unassigned; line and paragraph separators."""

# The last four are the full-width forms of =+-@, which some spreadsheets read alike.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!&$]|:(?=//)|(?<=www)\.)")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def displayable(text: str, *, newlines: bool = False) -> str:
    r"""Return the text with every character that a terminal might act on, or not show, as a visible escape.

    C0 and C1 controls become `\x1b`, all others `<U+202E>`. With `newlines`, `\n` stays (`\r\n` becomes one)
    and a tab becomes four spaces. The result can always be encoded; without `newlines` it is one line.
    """
    if text.isprintable():
        return text
    if newlines:
        lines = text.replace("\r\n", "\n").replace("\t", " " * TAB_SPACES).split("\n")
        return "\n".join(displayable(line) for line in lines)
    return "".join(map(_visible, text))


def csv_cell(text: str) -> str:
    """Return the text as a cell that no spreadsheet takes for a formula: what looks like one gets a `'`.

    A number such as `-0.5` stays as it is. Quoting commas and line ends is left to the CSV writer.
    """
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def markdown_text(text: str) -> str:
    """Return the text as Markdown in which it is nothing but text, on one line: no markup, no link, no table cell."""
    return _MARKDOWN.sub(r"\\\1", displayable(text).strip())


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category not in _INVISIBLE:
        return character
    return f"\\x{ord(character):02x}" if category == "Cc" else f"<U+{ord(character):04X}>"
