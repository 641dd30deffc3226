"""Does `bundle` carry a registry in one file, and say what is in it, whose key signed it and what was changed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def bundle(program: Program, registry: Path, files: Path, tmp_path: Path) -> Path:
    """Return the bundle of a registry whose production is the first of two versions."""
    assert registry.is_dir()
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    (files / "weights.bin").write_bytes(b"other weights")
    program.ok("publish", "acme/chat", files)
    program.ok("bundle", "export", tmp_path / "chat.bundle", "acme/chat@production")
    return tmp_path / "chat.bundle"


def test_an_export_says_what_it_holds_and_a_plan_writes_nothing(program: Program, bundle: Path, tmp_path: Path) -> None:
    plan = program.json("bundle", "export", tmp_path / "more.bundle", "--dry-run")
    assert (plan["dry_run"], plan["digest"], plan["models"]) == (True, None, 1)
    assert not (tmp_path / "more.bundle").exists()
    done = program.json("bundle", "export", tmp_path / "more.bundle")
    assert done["size_bytes"] == (tmp_path / "more.bundle").stat().st_size
    assert [(one["version"], one["here"]) for one in done["versions"]] == [(1, True), (2, True)]
    assert "exists already" in program.fails(4, "bundle", "export", bundle)
    assert "give a version an alias first" in program.fails(2, "bundle", "export", tmp_path / "x", "acme/chat:1")
    assert not (tmp_path / "x").exists()


def test_list_and_verify_read_it_without_importing(program: Program, bundle: Path) -> None:
    listed = program.json("bundle", "list", bundle)
    assert [(one["version"], one["here"]) for one in listed["versions"]] == [(1, True), (2, False)]
    assert "not here" in program.ok("bundle", "list", bundle).text
    verified = program.json("bundle", "verify", bundle)
    assert (verified["wrong"], verified["digest"]) == ([], listed["digest"])
    assert "not signed" in program.ok("bundle", "verify", bundle).text
    assert "signed by nobody" in program.fails(4, "bundle", "verify", bundle, "--signer", "SHA256:x")
    body = bytearray(bundle.read_bytes())
    body[body.index(b"A model")] ^= 1
    bundle.write_bytes(body)
    ran = program.run("bundle", "verify", bundle, "--json")
    assert ran.code == 8
    assert ran.document["wrong"][0].startswith("blobs/acme/chat/")
    bundle.write_bytes(body[:100])
    program.fails(8, "bundle", "list", bundle)
    program.fails(3, "bundle", "list", bundle.with_name("nothing"))


def test_imported_into_an_empty_place_it_is_a_replica(program: Program, bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    plan = program.json("-r", str(place), "bundle", "import", bundle, "--dry-run")
    assert (plan["way"], plan["dry_run"], place.exists()) == ("replica", True, False)
    done = program.json("-r", str(place), "bundle", "import", bundle)
    assert (done["way"], done["mirror"]["copied_objects"]) == ("replica", plan["mirror"]["copied_objects"])
    assert program.json("-r", str(place), "fsck", "--deep")["findings"] == []
    program.ok("-r", str(place), "pull", "acme/chat@production", tmp_path / "dest")
    assert "is not here" in program.fails(3, "-r", str(place), "pull", "acme/chat:2", tmp_path / "second")
    assert "replica" in program.fails(4, "-r", str(place), "promote", "acme/chat:2", "production")


def test_imported_into_another_registry_it_is_published_again(program: Program, bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    program.ok("init", str(place))
    plan = program.json("-r", str(place), "bundle", "import", bundle, "--dry-run")
    assert [one["created"] for one in plan["versions"]] == [True, False]
    told = program.ok("-r", str(place), "bundle", "import", bundle).text
    assert f"published 1 version in file://{place}, without reviews" in told
    assert "its files are not in the bundle" in told
    again = program.json("-r", str(place), "bundle", "import", bundle)
    assert [(one["version"], one["from_version"], one["created"]) for one in again["versions"]] == [
        (1, 1, False),
        (None, 2, False),
    ]
    assert program.json("-r", str(place), "fsck", "--deep")["findings"] == []
