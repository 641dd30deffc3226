"""Is the trail shown, chosen from, exported and judged as a whole, and is the past answered?"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bucketry.schema.documents.audit import NO_RECORD
from faults.file_systems import mounted
from registry.opened import plant

if TYPE_CHECKING:
    from pathlib import Path

    from cli.harness import Program


@pytest.fixture
def moved(program: Program, registry: Path, files: Path) -> Path:
    """Return a registry in which production moved once, and staging was set by somebody else."""
    program.ok("publish", "acme/chat", files)
    program.ok("publish", "acme/chat", files)
    program.ok("promote", "acme/chat:1", "production")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BUCKETRY_IDENTITY", "bob@example.org")
        program.ok("promote", "acme/chat:1", "staging")
    time.sleep(0.01)
    program.ok("promote", "acme/chat:2", "production")
    return registry


def actions(program: Program, *options: str) -> list[str]:
    return [record["action"] for record in program.json("audit", "acme/chat", *options)["records"]]


def test_records_are_chosen_and_all_are_verified(program: Program, moved: Path) -> None:
    assert moved.is_dir()
    everything = program.json("audit", "acme/chat")
    assert len(everything["records"]) == everything["verified_records"] == 7
    assert actions(program, "--alias", "production") == ["promote", "promote"]
    assert actions(program, "--actor", "bob@*") == ["create-alias", "promote"]
    assert actions(program, "--action", "publish") == ["publish", "publish"]
    last = everything["records"][-1]["at"]
    assert actions(program, "--since", last) == ["promote"]
    assert len(actions(program, "--until", last)) == 7
    assert actions(program, "--since", "2199-01-01") == []
    assert program.json("audit", "acme/chat", "--since", "2199-01-01")["verified_records"] == 7
    program.fails(2, "audit", "acme/chat", "--since", "yesterday")


def test_an_export_is_one_document_a_line_and_can_be_verified_alone(
    program: Program, moved: Path, tmp_path: Path
) -> None:
    assert moved.is_dir()
    program.ok("audit", "acme/chat", "--export", tmp_path / "trail.jsonl")
    records = [json.loads(line) for line in (tmp_path / "trail.jsonl").read_text().splitlines()]
    assert len(records) == 7
    for key in ("heads/acme/chat.json", "aliases/acme/chat/production.json"):
        previous = NO_RECORD
        for record in (record for record in records if record["key"] == key):
            assert record["previous"] == previous
            previous = record["sha256"]
        assert previous != NO_RECORD
    program.ok("audit", "acme/chat", "--export", tmp_path / "trail.jsonl", "--alias", "staging")
    [line] = (tmp_path / "trail.jsonl").read_text().splitlines()
    assert (json.loads(line)["alias"], json.loads(line)["model"]) == ("staging", "acme/chat")


def test_an_export_that_cannot_be_written_names_the_file_that_was_given(
    program: Program, moved: Path, tmp_path: Path
) -> None:
    assert moved.is_dir()
    for code, place in (
        (3, tmp_path / "missing" / "trail.jsonl"),
        (2, tmp_path / "config.toml" / "trail.jsonl"),
        (2, tmp_path / "out"),
    ):
        assert f": {place};" in program.fails(code, "audit", "acme/chat", "--export", place)
    with mounted(tmp_path / "sealed", "ro"):
        place = tmp_path / "sealed" / "trail.jsonl"
        told = program.fails(7, "audit", "acme/chat", "--export", place)
    assert f"read-only file system: {place};" in told
    assert [path.name for path in tmp_path.iterdir() if "trail" in path.name] == []


def test_a_fault_is_named_in_the_document_and_in_the_message(program: Program, moved: Path) -> None:
    key = "aliases/acme/chat/production.json"
    plant(moved, key, (moved / key).read_bytes().replace(b"ada@example.org", b"eve@example.org", 1))
    ran = program.run("audit", "acme/chat", "--verify")
    assert (ran.code, ran.text) == (8, "")
    assert f"{key}: generation 2 does not follow from generation 1" in ran.errors
    document = program.run("audit", "acme/chat", "--action", "publish", "--json").document
    assert document["verified"] is False
    [fault] = document["faults"]
    assert (fault["key"], fault["generation"]) == (key, 2)


def test_the_registry_itself_has_a_trail(program: Program, moved: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("approvals_required = 1\n")
    program.ok("policy", "set", "--default", tmp_path / "policy.toml")
    document = program.json("audit")
    assert (document["model"], document["verified"]) == (None, True)
    assert [record["action"] for record in document["records"]] == ["create-registry", "set-policy"]
    assert "the trail of the registry is whole: 2 records" in program.ok("audit", "--verify").text
    plant(
        moved,
        "registry.json",
        (moved / "registry.json").read_bytes().replace(b'"create-registry"', b'"forged-registry"', 1),
    )
    ran = program.run("audit", "--verify")
    assert ran.code == 8
    assert "registry.json: generation 2" in ran.errors
    program.fails(3, "audit", "-r", tmp_path / "nowhere")


def test_an_alias_is_told_as_it_was_at_a_moment(program: Program, moved: Path) -> None:
    assert moved.is_dir()
    first, second = program.json("audit", "acme/chat", "--alias", "production")["records"]
    then = program.json("resolve", "acme/chat@production", "--at", first["at"])
    assert (then["version"], then["generation"], then["alias"]) == (1, 1, "production")
    now = program.json("resolve", "acme/chat@production", "--at", second["at"])
    assert (now["version"], now["generation"]) == (2, 2)
    minutes = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
    program.fails(3, "resolve", "acme/chat@production", "--at", "2020-03-03T12:00Z")
    assert program.run("resolve", "acme/chat@production", "--at", minutes).code in {0, 3}
    program.ok("unset", "acme/chat", "production")
    tomorrow = "2199-03-03T12:00Z"
    assert "named nothing at" in program.fails(3, "resolve", "acme/chat@production", "--at", tomorrow)
    program.fails(2, "resolve", "acme/chat:1", "--at", tomorrow)
