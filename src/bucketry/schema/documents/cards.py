"""The model card as a text: where its front matter ends, which sections it has, and whether anything is written there.

Read as text: nothing is rendered, and the YAML of the front matter is read elsewhere (`interop`). Everyone who
looks into a card asks here where it begins, so that a gate, a comparison and a screen see the same card.
"""

from __future__ import annotations

import re
from collections import Counter

from bucketry.frozen import frozen

LARGEST_CARD_BYTES = 1024 * 1024
"""As much of a card is read and shown; a longer one fails the gate that asks for its sections."""
LARGEST_PUBLISHED_CARD_BYTES = 8 * 1024 * 1024
"""What is longer is no card that anybody reads; as a file of another name it may be published."""

_BEGIN = re.compile(r"\ufeff?\s*---[ \t]*[\r\n]")
_FRONT_MATTER = re.compile(r"\ufeff?\s*---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r" {0,3}(#{1,6})(?![^ \t])")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_PLACEHOLDERS = frozenset({"[more information needed]", "more information needed", "todo", "tbd", "n/a", "-", "..."})
"""What templates of cards leave where nobody has written anything."""
_MARKS = "*_`~"


@frozen
class Section:
    """A heading and whether any text follows before the next heading of its level or above."""

    title: str
    level: int
    is_written: bool


def begins_front_matter(text: str) -> bool:
    """Return whether a text begins as a card with front matter does, which may have no end."""
    return _BEGIN.match(text) is not None


def split_front_matter(text: str) -> tuple[str | None, str]:
    """Return the YAML between `---` and `---` (or `...`) at the top, as the Hub finds it, and the text behind it.

    A byte order mark and empty lines may stand before it. None and the whole text where there is none, or no end.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _FRONT_MATTER.match(text)
    return (found[1], text[found.end() :]) if found else (None, text)


def card_sections(text: str) -> tuple[Section, ...]:
    """Return the sections of a card in order; front matter, comments and fenced code hold no headings."""
    headings: list[tuple[int, str]] = []
    written: list[bool] = []
    open_sections: list[int] = []
    for level, line in _iter_lines(_without_comments(split_front_matter(text)[1])):
        if level:
            open_sections = [index for index in open_sections if headings[index][0] < level]
            open_sections.append(len(headings))
            headings.append((level, line))
            written.append(False)
            continue
        said = line.strip().strip(_MARKS + ">").strip()
        if said.casefold() not in _PLACEHOLDERS and any(character.isalnum() for character in said):
            for index in open_sections:
                written[index] = True
    return tuple(Section(title, level, seen) for (level, title), seen in zip(headings, written, strict=True))


def section_texts(text: str) -> dict[str, str]:
    """Return what stands under each heading, up to the next one of any level; a heading that recurs is numbered."""
    texts: dict[str, list[str]] = {}
    seen: Counter[str] = Counter()
    lines: list[str] = []
    for level, line in _iter_lines(_without_comments(split_front_matter(text)[1])):
        if level:
            title = " ".join(line.split())
            seen[title] += 1
            lines = texts.setdefault(title if seen[title] == 1 else f"{title} ({seen[title]})", [])
        else:
            lines.append(line.rstrip())
    return {title: "\n".join(found).strip() for title, found in texts.items()}


def section_name(title: str) -> str:
    """Return a heading as it is compared: without marks, ends and case, blanks as one."""
    return " ".join(title.strip(_MARKS + " :").casefold().split())


def _iter_lines(text: str) -> list[tuple[int, str]]:
    """Return each line with its heading's level, or 0 for any other line."""
    lines: list[tuple[int, str]] = []
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and not line.strip(" `~") else fence
            lines.append((0, line))
            continue
        if mark:
            fence = mark[1]
            continue
        heading = _HEADING.match(line)
        underline = _UNDERLINE.fullmatch(line)
        if heading:
            title = line[heading.end() :].strip()
            opened = title.rstrip("#")  # behind a blank, they close the heading
            closed = not opened or opened[-1] in " \t"
            lines.append((len(heading[1]), opened.rstrip() if closed else title))
        elif underline and lines and lines[-1][0] == 0 and lines[-1][1].strip():
            lines[-1] = (1 if underline[1][0] == "=" else 2, lines[-1][1])
        else:
            lines.append((0, line))
    return lines


def _without_comments(text: str) -> str:
    """Return the text without `<!-- -->`; one that is never closed hides the rest, as a browser would."""
    parts: list[str] = []
    position = 0
    for _ in range(text.count("<!--")):
        start = text.find("<!--", position)
        if start < 0:
            break
        parts.append(text[position:start])
        end = text.find("-->", start + 4)
        if end < 0:
            return "".join(parts)
        position = end + 3
    return "".join((*parts, text[position:]))
