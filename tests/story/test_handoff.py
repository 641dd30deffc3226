"""The guide of the hand-off is the test of the whole story: training, gates, reviews, serving, revocation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from story.guide import TOP, Step, masked, read_steps, run_steps
from trust.openssh import NEED_SSH_KEYGEN

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = TOP / "docs" / "handoff.md"


@NEED_SSH_KEYGEN
def test_the_guide_prints_what_it_says(tmp_path: Path) -> None:
    steps = read_steps(GUIDE.read_text().splitlines())
    for step, printed in run_steps(steps, tmp_path):
        assert masked(printed) == masked(step.printed), step.text
    _assert_that_it_ends_well(tmp_path)


def _assert_that_it_ends_well(folder: Path) -> None:
    """Check what the guide claims in words."""
    receipt = json.loads((folder / "container" / "model" / ".bucketry" / "receipt.json").read_bytes())
    assert (receipt["version"], receipt["verify"]) == (1, "sha256")
    assert (folder / "container" / "model" / "weights.safetensors").read_bytes() == (
        folder / "v1" / "weights.safetensors"
    ).read_bytes()
    # The container had nothing but its trust file, and wrote nothing but the model and what it remembers.
    assert sorted(path.name for path in (folder / "container").iterdir() if not path.name.startswith(".")) == [
        "etc",
        "model",
        "serve.py",
    ]


def test_a_guide_is_read_as_commands_files_and_what_was_printed() -> None:
    guide = [
        "text",
        "```console",
        "$ one",
        "> more",
        ">",
        "printed",
        "$ two",
        "```",
        "```toml",
        "# a.toml",
        "x = 1",
        "```",
    ]
    assert read_steps(guide) == [
        Step("one\nmore\n", 2, printed=["printed"]),
        Step("two", 6),
        Step("x = 1\n", 9, file="a.toml"),
    ]


@pytest.mark.parametrize(
    ("guide", "real", "same"),
    [
        ("took 3 s at 2026-01-01T00:00:00Z", "took 0.4 s at 2027-02-02T10:11:12.345Z", True),
        ("version 1", "version 2", False),
        ("a  b", "a b", True),
        ("exit code 4", "exit code 0", False),
        ("accuracy 0.93", "accuracy 0.94", False),
    ],
)
def test_only_what_differs_from_run_to_run_is_masked(guide: str, real: str, *, same: bool) -> None:
    assert (masked([guide]) == masked([real])) is same
