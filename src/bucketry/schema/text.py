"""Knows which characters are no part of a line of text, and shows text that somebody else wrote safely.

One table says it for every grammar: paths, names of metrics and data sets, labels, persons, and for what is shown.
Terminals, Textual and Rich act on ESC, C1 and bidi characters, and spreadsheets on formulas. Foreign text
passes through here once, where it is shown; what is stored and what `--json` prints stays exact.
"""

import re
import unicodedata

from bucketry.errors import UsageError

TAB_SPACES = 4

INVISIBLE = {
    "Cc": "a control character",
    "Cf": "a format character",  # with all that turn the direction of writing
    "Cs": "a lone surrogate",
    "Co": "a private-use character",
    "Cn": "an unassigned character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
"""The categories of Unicode that a terminal acts on or does not show, in words."""

# The last four are the full-width forms of =+-@, which some spreadsheets read alike.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!&$]|:(?=//)|(?<=www)\.)")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def needed_text(value: object, what: str) -> str:
    """Return a text that a program handed over, where it is one; raise `UsageError`."""
    if not isinstance(value, str):
        raise UsageError(f"{displayable(repr(value)[:60])} is not {what}", advice="give it as a text")
    return value


def fault_in_line(text: str, *, blanks: bool = True) -> str:
    """Return which character of a text is no part of a line, in words; empty if there is none.

    Without `blanks`, a space is the only blank: in the name of a person, others would make two that look alike.
    """
    if text.isprintable():
        return ""
    for character in text:
        category = unicodedata.category(character)
        if category in INVISIBLE:
            return f"{INVISIBLE[category]}, {displayable(character)}"
        if category == "Zs" and character != " " and not blanks:
            return f"a blank that is no space, <U+{ord(character):04X}>"
    return ""


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
    shown = []
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc":
            shown.append(f"\\x{ord(character):02x}")
        else:
            shown.append(f"<U+{ord(character):04X}>" if category in INVISIBLE else character)
    return "".join(shown)


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
