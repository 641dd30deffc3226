from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.errors import CorruptError, RejectedError
from bucketry.schema.documents.audit import NO_RECORD, Record, Trail, continue_trail
from bucketry.schema.names import AliasName
from bucketry.trust.generations import GenerationMemory, RollbackError, SeenGeneration, default_state_folder
from trust.people import CHAT, MANIFEST, PRODUCTION, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator


def history(count: int, *, actor: str = "ada@example.org") -> list[Record]:
    """Return the records of an alias that was moved `count` times, oldest first."""
    trail = Trail()
    records: list[Record] = []
    for number in range(1, count + 1):
        record = Record(number, f"{number:032x}", "2026-01-01T00:00:00Z", actor, "promote", "1", NO_RECORD)
        records.append(continue_trail(trail, record))
        trail = Trail((*trail.records, records[-1])[-64:])
    return records


def trail_of(records: list[Record]) -> Trail:
    """Return what the register itself holds of a history: its newest 33 to 64 records."""
    oldest = 0 if len(records) <= 64 else (len(records) - 33) // 32 * 32
    return Trail(tuple(records[oldest:]))


class Machine:
    """A machine that remembers, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.memory = GenerationMemory(folder)

    def sees(self, records: list[Record], alias: AliasName = PRODUCTION) -> SeenGeneration:
        return self.memory.advance(REGISTRY, CHAT, alias, trail_of(records), records[::-1])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state")


RECORDS = history(200)


@pytest.mark.parametrize("later", [5, 6, 40, 70, 200])
def test_a_register_that_goes_on_is_accepted(machine: Machine, later: int) -> None:
    machine.sees(RECORDS[:5])
    assert machine.sees(RECORDS[:later]).generation == later


def test_a_register_that_goes_back_is_a_rollback(machine: Machine) -> None:
    machine.sees(RECORDS[:9])
    with pytest.raises(
        RollbackError, match="rollback of the bucket: risk/chat@production is at generation 8"
    ) as caught:
        machine.sees(RECORDS[:8])
    assert "remove" in caught.value.advice


def test_what_was_seen_outlives_the_process_and_is_kept_for_each_alias(machine: Machine, tmp_path: Path) -> None:
    machine.sees(RECORDS[:9])
    with pytest.raises(RollbackError):
        Machine(tmp_path / "state").sees(RECORDS[:8])
    assert machine.sees(RECORDS[:2], AliasName("staging")).generation == 2


@pytest.mark.parametrize("later", [9, 10, 60, 150])
def test_a_history_that_was_rewritten_is_found_however_far_it_went_on(machine: Machine, later: int) -> None:
    machine.sees(RECORDS[:9])
    forged = history(later, actor="eve@example.org")
    with pytest.raises(RollbackError, match="was rewritten"):
        machine.sees(forged)


def test_a_leap_that_no_chain_supports_is_refused(machine: Machine) -> None:
    machine.sees(RECORDS[:9])
    highest = replace(RECORDS[9], generation=2**53 - 1)
    with pytest.raises(RollbackError, match="leaps from generation 9 to 9,007,199,254,740,991"):
        machine.memory.advance(REGISTRY, CHAT, PRODUCTION, Trail((highest,)), [highest])
    assert machine.sees(RECORDS[:10]).generation == 10


def test_a_leap_at_the_first_contact_is_refused(machine: Machine) -> None:
    highest = replace(RECORDS[9], generation=2**53 - 1)
    with pytest.raises(RollbackError, match="which no alias reaches"):
        machine.memory.advance(REGISTRY, CHAT, PRODUCTION, Trail((highest,)), [highest])


def test_a_short_leap_is_refused_where_its_records_do_not_reach_back(machine: Machine) -> None:
    machine.sees(RECORDS[:9])
    tail = RECORDS[100:150]
    with pytest.raises(RollbackError, match="was rewritten"):
        machine.memory.advance(REGISTRY, CHAT, PRODUCTION, Trail(tuple(tail)), tail[::-1])


def test_a_chain_that_is_broken_in_itself_is_refused_at_the_first_contact(machine: Machine) -> None:
    planted = [*RECORDS[:4], replace(RECORDS[4], actor="eve@example.org"), *RECORDS[5:9]]
    with pytest.raises(RollbackError, match="broken: generation 6 does not follow"):
        machine.sees(planted)


def test_no_more_records_are_read_than_needed(machine: Machine) -> None:
    machine.sees(RECORDS[:150])
    read: list[int] = []

    def back() -> Iterator[Record]:
        for record in reversed(RECORDS):
            read.append(record.generation)
            yield record

    machine.memory.advance(REGISTRY, CHAT, PRODUCTION, trail_of(RECORDS), back())
    assert min(read) == 150


def test_a_refusal_is_remembered(machine: Machine) -> None:
    machine.sees(RECORDS[:3])
    machine.memory.remember_refusal(REGISTRY, CHAT, PRODUCTION, MANIFEST)
    machine.memory.remember_refusal(REGISTRY, CHAT, PRODUCTION, MANIFEST)
    assert machine.sees(RECORDS[:9]).refused == (MANIFEST,)


def test_a_memory_that_cannot_be_read_is_an_error_and_no_first_contact(machine: Machine, tmp_path: Path) -> None:
    machine.sees(RECORDS[:3])
    (path,) = (tmp_path / "state").glob("*.json")
    path.write_bytes(b"{}")
    with pytest.raises(CorruptError, match="does not say which generation"):
        machine.sees(RECORDS[:3])


def test_a_memory_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    with pytest.raises(RejectedError, match="cannot be kept in") as caught:
        Machine(tmp_path / "state").sees(RECORDS[:3])
    assert "BUCKETRY_STATE" in caught.value.advice


def test_a_crash_before_the_rename_leaves_the_old_memory(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.sees(RECORDS[:3])

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bucketry.trust.generations.os.fsync", fail)
        with pytest.raises(RejectedError, match="No space left"):
            machine.sees(RECORDS[:4])
    assert machine.sees(RECORDS[:3]).generation == 3
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_a_folder_that_cannot_be_brought_to_the_disk_remembers_all_the_same(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:  # as CIFS does
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    machine.sees(RECORDS[:3])
    with pytest.raises(RejectedError):
        machine.sees(RECORDS[:2])


def test_the_folder_follows_the_environment() -> None:
    home = Path("/home/ada")
    assert default_state_folder({}, home) == home / ".local/state/bucketry/generations"
    assert default_state_folder({"XDG_STATE_HOME": "/var/x"}, home) == Path("/var/x/bucketry/generations")
    assert default_state_folder({"BUCKETRY_STATE": "/state"}, home) == Path("/state/generations")
