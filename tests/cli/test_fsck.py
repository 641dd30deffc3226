"""Does `fsck` say first what is worst, and for each kind of finding what to do?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bucketry.errors import UnavailableError
from bucketry.registry.versions import deletion

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def published(program: Program, registry: Path, files: Path) -> Path:
    program.ok("publish", "acme/chat", files)
    return registry


def litter(registry: Path) -> None:
    stray = registry / "reviews" / "acme" / "chat" / ("a" * 64) / f"{'b' * 64}.json"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"{}")


def leave_in_deletion(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a deletion end where its walk over the aliases begins."""

    def fail(*_: object) -> None:
        raise UnavailableError("the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "_walk", fail)
        program.fails(6, "delete", "acme/chat:1", "--yes")


def test_what_is_unfinished_says_what_to_run_and_ends_with_8(
    program: Program, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_in_deletion(program, monkeypatch)
    listed = program.run("fsck", "--json")
    assert listed.code == 8
    finding = listed.document["findings"][0]
    assert (finding["grade"], finding["key"]) == ("unfinished", "heads/acme/chat.json")
    assert set(finding) == {"grade", "kind", "key", "message", "remedy"}
    ran = program.run("fsck")
    assert (ran.code, "1 thing in the registry was begun and not finished" in ran.errors) == (8, True)
    told = ran.text
    assert told.startswith("UNFINISHED: `bucketry delete acme/chat:1` finishes it, or takes it back")
    assert told.endswith("0 damaged, 1 unfinished, 0 leftovers\n")
    program.ok("delete", "acme/chat:1", "--yes")
    assert not [each for each in program.json("fsck")["findings"] if each["grade"] == "unfinished"]
    assert published.is_dir()


def test_findings_stand_in_groups_the_worst_first(
    program: Program, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_in_deletion(program, monkeypatch)
    litter(published)
    next((published / "blobs" / "acme" / "chat" / "1").iterdir()).unlink()
    ran = program.run("fsck")
    assert ran.code == 8
    headings = [line.partition(":")[0] for line in ran.text.splitlines() if line.partition(":")[0].isupper()]
    assert [heading for heading in headings if " " not in heading] == ["DAMAGE", "UNFINISHED", "GARBAGE"]
    damage, rest = ran.text.split("UNFINISHED: ")
    assert "of version 1 are missing." in damage
    assert "No version cites this decision." in rest
    assert ran.text.endswith("1 damaged, 1 unfinished, 1 leftover\n")


def test_garbage_alone_needs_nothing_to_be_done(program: Program, published: Path) -> None:
    litter(published)
    told = program.ok("fsck").text
    assert told.startswith("GARBAGE: nothing needs to be done: it only takes room\n")
    assert "DAMAGE" not in told
    assert "UNFINISHED" not in told
    assert told.endswith("0 damaged, 1 leftover\n")


def test_a_whole_registry_has_no_groups(program: Program, published: Path) -> None:
    assert published.is_dir()
    told = program.ok("fsck", "--deep").text
    assert told.count("\n") == 1
    assert told.endswith("nothing is wrong\n")
