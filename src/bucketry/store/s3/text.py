"""Spells moments and special characters as S3 and we send them to each other.

The library has all of this, in modules that load half of its network code; a small command would feel it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# In the order of reading. The ampersand is written first, or it would be escaped where the others wrote it.
ENTITIES = (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;"))

_DATE = re.compile(
    rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{{2}}) ({'|'.join(MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def parse_date(text: str) -> datetime:
    """Return the moment that a header names, with its zone; raise `ValueError` if it names none."""
    found = _DATE.fullmatch(text)
    if found is None:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - hardly any server spells it in another way

        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    day, month, year, hour, minute, second = found.groups()
    return datetime(int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)


def escape(text: str) -> str:
    """Return text as it stands between the tags of XML."""
    for character, entity in reversed(ENTITIES):
        text = text.replace(character, entity)
    return text


def unescape(text: str) -> str:
    """Return what stands between the tags of XML as text."""
    for character, entity in ENTITIES:
        text = text.replace(entity, character)
    return text
