"""Does a list say of a row what is known of it, and nothing of what is not?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bucketry.index.search import FoundAlias, FoundModel, FoundVersion
from bucketry.schema.documents.states import State
from bucketry.schema.names import AliasName, Digest, ModelName
from bucketry.show.lists import ListedVersion, headline_columns, model_columns, version_columns
from bucketry.show.spans import Span, TextPage, plain_text
from bucketry.show.tables import Column, listed_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


KNOWN = FoundVersion(
    ModelName("acme", "chat"),
    7,
    Digest("ab" * 32),
    State.IN_REVIEW,
    tuple(FoundAlias(AliasName(name), 7, None, 1, "", "") for name in ("production", "canary")),
    "2026-11-20T14:00:00Z",
    "mia@example.org",
    97_700,
    {"auc": 0.915, "p95_ms": 40},
    {},
    None,
)
MODEL = FoundModel(ModelName("acme", "chat"), 1_200, 1_200, (), "2026-11-22T13:00:00Z", "answers")


def cells(row: FoundVersion) -> dict[str, str]:
    columns: Mapping[str, Column[FoundVersion]] = version_columns(NOW)
    said = {name: column.cell(row) for name, column in columns.items()}
    return {name: cell.text if isinstance(cell, Span) else cell for name, cell in said.items()}


def test_a_version_says_what_it_is() -> None:
    assert cells(KNOWN) == {
        "version": "v7",
        "state": "in review",
        "aliases": "production canary",
        "size": "97.7 kB",
        "created": "2d",
        "author": "mia@example.org",
    }


def test_of_a_version_without_a_row_only_its_number_and_aliases_are_known() -> None:
    columns: Mapping[str, Column[ListedVersion]] = version_columns(NOW)
    row = ListedVersion(7, damaged="page 1 is lost")
    heading, line = (plain_text(each).split() for each in listed_lines(list(columns.values()), [row], TextPage()))
    assert heading == ["VERS", "STATE", "ALIASES", "SIZE", "AGE", "BY"]
    assert line == ["v7", "DAMAGED", "-", "-", "-", "-"]


def test_a_version_whose_row_is_there_is_damaged_all_the_same() -> None:
    assert cells(replace(KNOWN, damaged="its manifest is lost"))["state"] == "DAMAGED"
    assert cells(replace(KNOWN, state=State.REGISTERED, aliases=()))["aliases"] == "-"


def test_of_a_damaged_model_no_number_is_known() -> None:
    columns: Mapping[str, Column[FoundModel]] = model_columns(NOW)
    damaged = replace(MODEL, damaged="its head is cut off")
    rows = [plain_text(each).split() for each in listed_lines(list(columns.values()), [MODEL, damaged], TextPage())]
    assert rows == [
        ["MODEL", "VERSIONS", "NEWEST", "UPDATED", "DESCRIPTION"],
        ["acme/chat", "1,200", "v1200", "1h", "answers"],
        ["acme/chat", "DAMAGED", "-", "-", *["its", "head", "is", "cut", "off"]],
    ]


def test_metrics_stand_point_below_point_and_are_whole_where_all_of_them_are() -> None:
    rows = [KNOWN, replace(KNOWN, metrics={"auc": 0, "p95_ms": 41}), replace(KNOWN, metrics={})]
    columns = headline_columns(rows, ["auc", "p95_ms"])
    shown = [plain_text(each) for each in listed_lines(columns, rows, TextPage(gap=2))]
    assert shown == ["  AUC  P95ms", ".9150     40", ".0000     41", "    -      -"]
