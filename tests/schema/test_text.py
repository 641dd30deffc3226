from __future__ import annotations

import functools
import json
import re
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.schema.arguments import plain_evidence, plain_labels, plain_training
from bucketry.schema.documents.audit import parse_actor
from bucketry.schema.documents.deployment import parse_place_part
from bucketry.schema.documents.evidence import Evidence, Metric
from bucketry.schema.documents.manifest import Training
from bucketry.schema.documents.policy import parse_policy_toml
from bucketry.schema.documents.reviews import parse_principal
from bucketry.schema.names import parse_alias, parse_model_name
from bucketry.schema.paths import parse_artifact_path
from bucketry.schema.text import INVISIBLE, csv_cell, displayable, fault_in_line

if TYPE_CHECKING:
    from collections.abc import Callable

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
any_text = st.text(st.characters(codec=None)) | st.text(
    st.sampled_from("a\x00\x07\x1b\x7f\x85\x9b\n\r\t\u2028\u2029\ue000\ud800\uffff\u0378 é中" + BIDI)
)


def is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] != "C" and character not in "\u2028\u2029"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 中 [/nope] [@click=app.exit]", "plain é 中 [/nope] [@click=app.exit]"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\tc\rd\x00\x7f", r"a\x0ab\x09c\x0dd\x00\x7f"),
        ("\u202egpj.exe", "<U+202E>gpj.exe"),
        ("\u200b\ufeff", "<U+200B><U+FEFF>"),
        ("\u2028\u2029", "<U+2028><U+2029>"),
        ("\ud83d", "<U+D83D>"),
        ("\ue000\uffff\u0378", "<U+E000><U+FFFF><U+0378>"),
        ("\U000e0041\U0010fffd", "<U+E0041><U+10FFFD>"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_each_dangerous_character_becomes_its_visible_escape(text: str, shown: str) -> None:
    assert displayable(text) == shown


def test_newlines_are_kept_and_tabs_become_spaces_where_asked() -> None:
    assert displayable("a\r\n\tb\n\rc\x1b", newlines=True) == "a\n    b\n\\x0dc\\x1b"


@given(any_text)
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    shown = displayable(text)
    assert all(map(is_visible, shown))
    shown.encode()
    assert displayable(shown) == shown


@given(any_text)
def test_with_newlines_only_newlines_are_left(text: str) -> None:
    shown = displayable(text, newlines=True)
    assert all(character == "\n" or is_visible(character) for character in shown)
    assert shown.count("\n") == text.count("\n")


@given(any_text)
def test_visible_characters_stay_as_they_are_and_in_order(text: str) -> None:
    kept = "".join(filter(is_visible, text))
    escapes_removed = re.sub(r"\\x[0-9a-f]{2}|<U\+[0-9A-F]{4,6}>", "", displayable(text))
    if not re.search(r"\\x|<U\+", text):
        assert escapes_removed == kept


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+cmd", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0", "-1+1", "--1",
        "+", "-", "-.", "-0.5 ", "-0.5\n", "+1e", "-٣", "\uff1d1", "-inf", "-1,2",
    ],
)  # fmt: skip
def test_a_cell_that_looks_like_a_formula_is_defused(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a", "0.5", "-0.5", "+0.5", "-1", "-.5", "-1.", "-1e-05", "a=b", "1-2", "'=1"])
def test_numbers_and_plain_cells_are_left_alone(text: str) -> None:
    assert csv_cell(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
@example(-1e-300)
def test_every_number_that_we_print_is_left_alone(number: float) -> None:
    assert csv_cell(str(number)) == str(number)


@given(st.text(st.sampled_from("=+-@\t\r\n'0.5eE a")))
def test_a_cell_starts_harmlessly_or_is_a_number(text: str) -> None:
    cell = csv_cell(text)
    if cell[:1] in set("=+-@\t\r\n"):
        float(cell)


@functools.cache
def of_each_category() -> dict[str, list[str]]:
    """Return characters of every category of Unicode: its first and last ones, and some between."""
    found: dict[str, list[str]] = {}
    for code in range(0x110000):
        found.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    return {
        category: sorted({*characters[:40], *characters[-10:], *characters[:: max(1, len(characters) // 20)]})
        for category, characters in found.items()
    }


CATEGORIES = [
    "Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
]  # fmt: skip
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def metric_named(text: str) -> object:
    return plain_evidence(Evidence("human", (Metric(text, 1),)))


NAMES: dict[str, Callable[[str], object]] = {
    "path": parse_artifact_path,
    "identity": parse_actor,
    "principal": parse_principal,
    "metric": metric_named,
    "slice": lambda text: plain_evidence(Evidence("human", (Metric("auc", 1, slice={text: "x"}),))),
    "evaluated data": lambda text: plain_evidence(Evidence("human", (), dataset={"name": text})),
    "training data": lambda text: plain_training(Training(datasets=({"name": text},))),
    "by": lambda text: plain_evidence(Evidence("human", (), by=text)),
    "reviewer": lambda text: parse_policy_toml(f"reviewers = [{json.dumps(text, ensure_ascii=False)}]", what="it"),
    "gate": lambda text: parse_policy_toml(
        f"[[gate]]\nmetric = {json.dumps(text, ensure_ascii=False)}\nat_least = 1", what="it"
    ),
    "model": parse_model_name,
    "alias": parse_alias,
    "environment": lambda text: parse_place_part(text, what="environment"),
    "label": lambda text: plain_labels({text: "x"}),
}
"""Every grammar of a name that anybody chooses."""
ASCII_ONLY = {"model", "alias", "environment", "label"}
OF_PERSONS = {"identity", "principal", "by"}


def test_the_table_is_of_all_categories_that_are_not_seen() -> None:
    assert set(INVISIBLE) == UNSEEN
    assert sorted(of_each_category()) == CATEGORIES


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_grammar_refuses_the_characters_that_are_not_seen_and_no_others(name: str, category: str) -> None:
    for character in of_each_category()[category]:
        text = f"a{character}b"
        try:
            NAMES[name](text)
            refused = ""
        except UsageError as error:
            refused = error.message
            assert fault_in_line(refused) == ""
        if category in UNSEEN:
            assert refused, (name, hex(ord(character)))
        elif name not in {"path", *ASCII_ONLY}:  # paths have rules of their own about what is seen
            assert bool(refused) == (
                (name in OF_PERSONS and category == "Zs" and character != " ")
                or (name == "reviewer" and character in "?[]")
            ), (name, hex(ord(character)))


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_no_name_may_have_is_what_is_shown_as_an_escape(category: str) -> None:
    for character in of_each_category()[category]:
        assert (displayable(character) != character) == (category in UNSEEN) == bool(fault_in_line(character))
