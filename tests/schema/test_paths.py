from __future__ import annotations

import itertools
import unicodedata
from typing import Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.schema.paths import check_paths_together, parse_artifact_path

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{kind}{number}" for kind in ("COM", "LPT") for number in "0123456789¹²³"
}

near_segments = st.text(st.sampled_from("aAé.\u0301 ~:\\\x00\u202e\u00a0ß中"), max_size=5) | st.sampled_from(
    [
        "..",
        ".",
        "con",
        "COM1.txt",
        "nul .txt",
        ".bucketry",
        ".Bucketry",
        "x" * 255,
        "x" * 256,
        "é" * 127,
        "é" * 128,
    ]
)
near_paths = st.lists(near_segments, max_size=5).map("/".join) | st.text(st.characters(codec=None), max_size=6)
good_segments = st.text(st.sampled_from("abcABCé.~ ß中"), min_size=1, max_size=4)


def is_path(text: str) -> bool:
    """The rule for a path, stated on bytes and whole sets rather than in the order of the parser."""
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"} or c in "\\:" for c in text):
        return False
    segments = text.split("/")
    return (
        unicodedata.normalize("NFC", text) == text
        and len(text.encode()) <= 1024
        and len(segments) <= 32
        and all(1 <= len(segment.encode()) <= 255 for segment in segments)
        and not any(segment[-1] in ". " or segment[0] == " " for segment in segments)
        and not any(segment.split(".")[0].rstrip(" ").upper() in DEVICES for segment in segments)
        and unicodedata.normalize("NFKC", segments[0]).lower() != ".bucketry"
    )


def outcome(paths: list[str]) -> bool:
    try:
        check_paths_together(paths)
    except UsageError:
        return False
    return True


@given(near_paths)
@example("/".join("a" * 32))
@example("/".join("a" * 33))
@example("/".join(["x" * 204] * 5))
@example("/".join(["x" * 204] * 4 + ["x" * 205]))
def test_a_path_is_accepted_unchanged_exactly_if_the_rule_allows_it(text: str) -> None:
    if is_path(text):
        assert parse_artifact_path(text) == text
    else:
        with pytest.raises(UsageError):
            parse_artifact_path(text)


@pytest.mark.parametrize(
    "text",
    [
        "résumé.bin", "my model (final).bin", "~/.bashrc", "model.safetensors", "a/b/c", ".hidden", "...a",
        "-rf", "$HOME", "%TEMP%", "a b", "*", "?", "'", '"', "|", "con-", "console.txt", "x.con", "com10",
        "sub/.bucketry/x", "[/nope]", ".bucketry2", "日本語", "a\u00a0b",
    ],
)  # fmt: skip
def test_a_legal_path_is_taken_literally(text: str) -> None:
    assert parse_artifact_path(text) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("/etc/passwd", 'starts with "/"'),
        ("../x", 'part ".."'),
        ("a/../../x", 'part ".."'),
        ("a/./b", 'part "."'),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "backslash"),
        ("C:x", "colon"),
        ("file:stream", "colon"),
        ("a\x00b", "control character"),
        ("a\nb", "control character"),
        ("a\x85b", "control character"),
        ("a\u202eb", "format character"),
        ("a\u200db", "format character"),
        ("a\udc80b", "surrogate"),
        ("a\ue000b", "private-use"),
        ("a\u0378b", "unassigned"),
        ("e\u0301", "NFC"),
        ("\u212b", "NFC"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("/".join(["é" * 120] * 5), "1,024 bytes"),
        ("x" * 100_000, "1,024 bytes"),
        ("/".join("a" * 33), "32 parts"),
        ("a.", "dot or a space"),
        ("a /b", "dot or a space"),
        (" a", "starts with a space"),
        ("b/ a", "starts with a space"),
        ("nul", "device name"),
        ("a/Con.txt", "device name"),
        ("LPT1.tar.gz", "device name"),
        ("nul .txt", "device name"),
        ("com²", "device name"),
        ("CONIN$", "device name"),
        (".bucketry", "this program's own"),
        (".bucketry/receipt.json", "this program's own"),
        (".BUCKETRY/receipt.json", "this program's own"),
        ("\uff0ebucketry/receipt.json", "this program's own"),
    ],
)
def test_a_bad_path_is_refused_with_the_rule_that_it_breaks(text: str, rule: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_artifact_path(text)
    assert rule in caught.value.message
    assert caught.value.message.isprintable() or "\u00a0" in caught.value.message
    assert len(caught.value.message) < 2_000


@given(st.lists(st.lists(good_segments, min_size=1, max_size=3).map("/".join).filter(is_path), max_size=8))
@example(["a", "a.b", "a/b"])
@example(["A/b", "a"])
@example(["a/b", "a/b/c/d"])
@example(["a/b", "a-b", "ab"])
def test_paths_clash_exactly_if_two_are_the_same_or_one_is_a_folder_of_another(paths: list[str]) -> None:
    folded = [unicodedata.normalize("NFKC", path).casefold() for path in paths]
    clash = any(b == a or b.startswith(a + "/") for a, b in itertools.permutations(folded, 2))
    assert outcome(paths) is not clash


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=6), st.sampled_from(["NFKC", "NFC"]))
@example("ß", "NFKC")
@example("ﬁ", "NFKC")
@example("\u1e9e", "NFKC")
def test_a_path_collides_with_its_own_folded_form(text: str, form: Literal["NFC", "NFKC"]) -> None:
    assert not outcome([text, text])
    other = unicodedata.normalize(form, text).casefold()
    assume(other != text)
    assert not outcome([text, other])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("README.md", "readme.md"),
        ("straße", "STRASSE"),
        ("ﬁle", "file"),
        ("a", "\uff41"),
        ("x²", "x2"),
        ("a/b", "A"),
        ("Σ", "ς"),
        ("a", "a/b/c"),
    ],
)
def test_a_collision_names_both_paths(first: str, second: str) -> None:
    for paths in ([first, "other", second], [second, "zzz", first]):
        with pytest.raises(UsageError) as caught:
            check_paths_together(paths)
        assert f'"{first}"' in caught.value.message
        assert f'"{second}"' in caught.value.message


def test_folders_that_differ_in_case_only_may_hold_different_files() -> None:
    check_paths_together(["A/x", "a/y"])


def test_20_000_paths_are_the_most_and_no_more_are_read() -> None:
    check_paths_together(f"part-{number}" for number in range(20_000))
    endless = (f"part-{number}" for number in itertools.count())
    with pytest.raises(UsageError, match="20,000"):
        check_paths_together(endless)
    assert next(endless) == "part-20001"
