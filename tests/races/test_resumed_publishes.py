"""Does a publish that was killed go on where it ended, sending no part twice but those that were on their way?"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from bucketry.client import open_registry
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.schema import keys
from races.dying import publish_and_die_after_parts
from races.processes import child
from races.worker import PART_BYTES, publish_once

if TYPE_CHECKING:
    from pathlib import Path

    from bucketry.client import Registry

MODEL = "races/resumed"
PARTS = 10
DIES_AFTER = 6


def test_a_publish_killed_in_the_middle_goes_on_with_its_parts(where: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.bin").write_bytes(Random(0).randbytes(PARTS * PART_BYTES - 1))
    with child(publish_and_die_after_parts, where, MODEL, source, "key", DIES_AFTER) as publisher:
        publisher.go()
        assert publisher.has_died()
    with open_registry(where, identity="publisher@races") as registry:
        store = registry.session.store
        ((key, upload, _),) = store.list_uploads(keys.BLOBS)
        there = len(store.list_parts(key, upload))
        assert PARTS > there >= DIES_AFTER
        sent: list[int] = []
        published = publish_once(where, MODEL, source, "key", opener=lambda *a, **o: noting_parts(sent, *a, **o))
        # A part that was on its way when its sender died may arrive in the end.
        assert 0 < len(sent) <= PARTS - there
        assert published.uploaded_bytes == sum(sent)
        assert list(store.list_uploads(keys.BLOBS)) == []
        report = check_registry(registry.session, deep=True)
        assert (report.versions, report.damage, report.garbage) == (1, (), ())


def noting_parts(sent: list[int], where: str, *, identity: str) -> Registry:
    registry = open_registry(where, identity=identity)
    store: Any = registry.session.store.unretried  # whom uploads call
    upload_part = store.upload_part

    def note(*arguments: Any, **named: Any) -> Any:
        sent.append(len(arguments[-1]))
        return upload_part(*arguments, **named)

    store.upload_part = note
    return registry
