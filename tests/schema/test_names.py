from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bucketry.errors import UsageError
from bucketry.schema.names import (
    AliasName,
    ByAlias,
    ByManifest,
    ByVersion,
    Digest,
    Latest,
    ModelName,
    Newest,
    Reference,
    parse_alias,
    parse_digest,
    parse_model_name,
    parse_reference,
    parse_version,
)

ENDS = set(string.ascii_lowercase + string.digits)
INSIDE = ENDS | set("._-")
DEVICES = {"con", "prn", "aux", "nul"} | {f"{kind}{n}" for kind in ("com", "lpt") for n in range(10)}


def is_part(part: str) -> bool:
    """The rule for one part of a model's name, character by character."""
    return (
        1 <= len(part) <= 96
        and set(part) <= INSIDE
        and part[0] in ENDS
        and part[-1] in ENDS
        and ".." not in part
        and part.split(".", 1)[0] not in DEVICES
        and not part.startswith("sha256-")
    )


def is_alias(alias: str) -> bool:
    """The rule for an alias, character by character."""
    return (
        1 <= len(alias) <= 63
        and alias[0] in string.ascii_lowercase
        and set(alias) <= ENDS | {"-"}
        and alias != "latest"
        and not (alias[0] == "v" and alias[1:].isdigit())
    )


# Close to the rule on both sides, so that both outcomes are common.
near_parts = st.text(st.sampled_from("az09._-A/: é\n"), max_size=8) | st.sampled_from(
    [
        "a" * 96,
        "a" * 97,
        "con",
        "con.v2",
        "com1",
        "com¹",
        "console",
        "aux",
        "sha256-x",
        "sha256",
        "a..b",
        "x.con",
    ]
)
good_parts = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,94}[a-z0-9])?", fullmatch=True).filter(is_part)
good_models = st.builds(ModelName, good_parts | st.just("default"), good_parts)
good_aliases = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True).filter(is_alias)
good_digests = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64).map(Digest)
good_selectors = st.one_of(
    st.just(Newest()),
    st.just(Latest()),
    st.builds(ByVersion, st.integers(1, 2**53 - 1)),
    st.builds(ByAlias, good_aliases.map(AliasName)),
    st.builds(ByManifest, good_digests),
)


@given(near_parts)
def test_a_model_name_is_accepted_exactly_if_the_rule_allows_it(part: str) -> None:
    if is_part(part):
        assert parse_model_name(part) == ModelName("default", part)
        assert parse_model_name(f"team/{part}") == ModelName("team", part)
        assert parse_model_name(f"{part}/model") == ModelName(part, "model")
    else:
        parts = part.split("/")
        if not (len(parts) == 2 and all(map(is_part, parts))):
            with pytest.raises(UsageError):
                parse_model_name(part)
        with pytest.raises(UsageError):
            parse_model_name(f"team/{part}")
        with pytest.raises(UsageError):
            parse_model_name(f"{part}/model")


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "a/", "/a", "a/b/c", "a//b", ".", "..", "../a", "a/..", "-a", "a-", ".a", "a.", "A",
        "a b", "a\n", "\na", "é", "\uff41", "٣", "con", "nul.gguf", "com1/model", "lpt9.v1", "sha256-abc",
        "a..b", "a" * 97, "s3://bucket/a", "a\\b", "~a", "a\x00", "\udc80",
    ],
)  # fmt: skip
def test_a_bad_model_name_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_model_name(text)


@pytest.mark.parametrize(
    "text",
    ["a", "0", "a" * 96, "team-a/fraud.v2_x", "console", "x.con", "com10", "conx.y", "sha256", "sha256x-1"],
)
def test_an_unusual_model_name_is_legal(text: str) -> None:
    assert str(parse_model_name(text)) == text


@given(good_models)
def test_a_model_name_round_trips_through_its_text(model: ModelName) -> None:
    assert parse_model_name(str(model)) == model


@given(st.text(st.sampled_from("alvtes019-A_.\n"), max_size=8) | st.sampled_from(["a" * 63, "a" * 64, "latest"]))
@example("v7")
@example("v")
@example("v7a")
@example("latest-1")
def test_an_alias_is_accepted_exactly_if_the_rule_allows_it(text: str) -> None:
    if is_alias(text):
        assert parse_alias(text) == text
    else:
        with pytest.raises(UsageError):
            parse_alias(text)


@given(st.text(st.sampled_from("0123456789+-_ .e\n٣"), max_size=17))
@example("9007199254740991")
@example("9007199254740992")
@example("0")
@example("01")
def test_a_version_is_accepted_exactly_if_it_is_a_plain_number_below_2_to_53(text: str) -> None:
    plain = bool(text) and set(text) <= set(string.digits) and text[0] != "0" and int(text) < 2**53
    if plain:
        assert parse_version(text) == int(text)
        assert str(parse_version(text)) == text
    else:
        with pytest.raises(UsageError):
            parse_version(text)


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", "sha256:" + "a" * 64])
def test_only_64_lower_case_hexadecimal_digits_are_a_digest(text: str) -> None:
    assert parse_digest("0123456789abcdef" * 4) == "0123456789abcdef" * 4
    with pytest.raises(UsageError):
        parse_digest(text)


@given(good_models, good_selectors)
def test_a_reference_round_trips_through_its_text(
    model: ModelName, selector: Newest | Latest | ByVersion | ByAlias | ByManifest
) -> None:
    reference = Reference(model, selector)
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "", "@", ":", "a@", "a:", "a:0", "a:-1", "a:1.0", "a:7@prod", "a@prod:7", "a@v7", "a@sha256:",
        "a@Prod", "a@sha256:" + "A" * 64, "a@md5:" + "a" * 64, "a@b@c", "a:1:2", "a@latest:", "@prod",
        ":7", "a @prod", "a:9007199254740992",
    ],
)  # fmt: skip
def test_a_bad_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@given(st.text())
def test_any_text_is_parsed_or_a_usage_error_of_one_displayable_line(text: str) -> None:
    for parse in (parse_model_name, parse_alias, parse_version, parse_digest, parse_reference):
        try:
            parse(text)
        except UsageError as error:
            assert error.message.isascii() or not any(c in error.message for c in "\x1b\x9b\u202e")  # noqa: PT017
            assert "\n" not in error.message  # noqa: PT017
            assert error.advice  # noqa: PT017
