"""Is everything there that the documents for contributors name: files, folders, and pages that they link?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (ROOT, ROOT / "src" / "bucketry", ROOT / "docs")
DOCUMENTS = (
    "README.md",
    "docs/architecture.md",
    "docs/CONTRIBUTING.md",
    "docs/SECURITY.md",
    "docs/decisions/README.md",
)
NAMED = re.compile(r"(?<![\w/.-])((?:[a-z0-9_]+/)+(?:[a-z0-9_]+\.(?:py|md|sh|toml)|(?=`)))")
LINKED = re.compile(r"\]\((?!https?:)([^)#]+)")
MADE_UP = frozenset({"cli/commands/NAME.py", "docs/decisions/NNNN-title.md", "blobs/", "manifests/", "aliases/"})
"""Patterns, and keys of a bucket."""


def missing(document: Path, text: str) -> list[str]:
    named = [name for name in NAMED.findall(text) if not any((place / name).exists() for place in PLACES)]
    linked = [name for name in LINKED.findall(text) if not (document.parent / name).exists()]
    return sorted({*named, *linked} - MADE_UP)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_names_is_there(name: str) -> None:
    document = ROOT / name
    assert missing(document, document.read_text("utf-8")) == []


def test_what_is_not_there_is_noticed() -> None:
    text = "See `registry/core/gone.py`, `registry/nowhere/` and [a page](gone.md), but not `registry/core/commit.py`."
    assert missing(ROOT / "docs" / "page.md", text) == ["gone.md", "registry/core/gone.py", "registry/nowhere/"]


def test_every_decision_is_in_the_list_and_says_its_status_and_date() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text("utf-8")
    for record in sorted(folder.glob("0*.md")):
        assert f"({record.name})" in listed, record.name
        assert re.search(
            r"^Status: (accepted|superseded by .+?|in part replaced by .+?) *\nDate: 20\d\d-\d\d-\d\d$",
            record.read_text("utf-8"),
            re.MULTILINE,
        ), record.name
