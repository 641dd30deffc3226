"""Are dates and characters read and written as the library does it?"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from xml.sax import saxutils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucketry.store.s3.text import escape, parse_date, unescape


@given(st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001 - hypothesis adds the zone  # fmt: skip
def test_a_date_is_read_as_the_library_reads_it(moment: datetime) -> None:
    text = format_datetime(moment.replace(tzinfo=UTC), usegmt=True)
    assert parse_date(text) == parsedate_to_datetime(text) == moment.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["Sun, 22 Nov 2026 12:00:00 +0200", "22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:00 -0000"]
)
def test_a_date_may_be_spelled_in_another_way(text: str) -> None:
    assert parse_date(text) == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert parse_date(text).tzinfo is not None


@pytest.mark.parametrize("text", ["", "nonsense", "Sun, 31 Feb 2026 10:00:00 GMT", "Sun, 22 Nov 2026 25:00:00 GMT"])
def test_what_is_no_date_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words are the library's
        parse_date(text)


@given(st.text(alphabet="<>&;lgtamp\"'x"))
def test_characters_are_escaped_as_the_library_does_it(text: str) -> None:
    assert escape(text) == saxutils.escape(text)
    assert unescape(text) == saxutils.unescape(text)
    assert unescape(escape(text)) == text
