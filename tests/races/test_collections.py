"""Do collections free what is needed while real processes publish, promote and delete, and are killed at random?"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_reader, open_registry
from bucketry.errors import ContendedError, NotFoundError, RejectedError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.gc.collection import Asked, apply_collection
from bucketry.registry.core.opening import open_session
from bucketry.registry.versions.deletion import delete_version
from bucketry.schema.names import parse_model_name
from races.processes import child

if TYPE_CHECKING:
    from races.processes import Child

MODELS = ("races/first", "races/second")
CONTENTS = 6
LARGE_BYTES = 300 * 1024
FOREVER_ROUNDS = 100_000
WORKERS, COLLECTORS = 3, 2


def publish_promote_and_delete(where: str, seed: int) -> None:
    """Publish versions that share files, promote some and delete others, until killed."""
    chance = Random(seed)
    folder = Path(f"source-{seed}")
    folder.mkdir()
    with open_registry(where, identity=f"worker-{seed}@races") as registry:
        for number in range(FOREVER_ROUNDS):
            model = chance.choice(MODELS)
            (folder / "shared.bin").write_bytes(Random(chance.randrange(CONTENTS)).randbytes(LARGE_BYTES))
            (folder / "own.bin").write_text(f"{seed} {number}")
            published = registry.publish(model, [folder])
            with suppress(RejectedError, NotFoundError, ContendedError):
                if chance.random() < 0.5:
                    registry.promote(f"{model}:{published.version}", "production")
            with suppress(RejectedError, NotFoundError, ContendedError):
                version = chance.randint(max(1, published.version - 8), published.version)
                delete_version(registry.session, parse_model_name(model), version)


def collect(where: str, seed: int) -> None:
    """Free without any grace, until killed; now and then all is walked, and sometimes another session plans anew."""
    chance = Random(seed)
    for _ in range(FOREVER_ROUNDS):
        session = open_session(where, identity=f"collector-{seed}@races")
        done = apply_collection(session, Asked(0.0, is_full=chance.random() < 0.3))
        assert not [each for each in done.left_alone if each.is_damaged], done.left_alone
        session.store.close()


@pytest.mark.parametrize(("kills", "seconds"), [(8, 0.0), pytest.param(40, 120.0, marks=pytest.mark.deep)])
def test_no_collection_frees_what_is_needed(where: str, kills: int, seconds: float) -> None:
    chance = Random(7)
    jobs = (*[publish_promote_and_delete] * WORKERS, *[collect] * COLLECTORS)
    killed, seed = 0, 0
    with ExitStack() as stack:
        running: list[Child] = []
        for job in jobs:
            seed += 1
            running.append(stack.enter_context(child(job, where, seed)))
        for one in running:
            one.go()
        ends_at = time.monotonic() + seconds
        while killed < kills or time.monotonic() < ends_at:  # bounded by the kills and the time
            time.sleep(chance.random() * 0.6)
            place = chance.randrange(len(jobs))
            assert running[place].kill(), f"{jobs[place].__name__} had ended by itself: its stderr says why"
            killed += 1
            seed += 1
            running[place] = stack.enter_context(child(jobs[place], where, seed))
            running[place].go()
        for one in running:
            assert one.kill(), "one had ended by itself: its stderr says why"
    with open_reader(where) as reader:
        report = check_registry(reader.session, deep=True)
        assert report.damage == ()
        assert report.versions > WORKERS
        with open_registry(where, identity="last@races") as last:
            apply_collection(last.session, Asked(0.0))
        report = check_registry(reader.session, deep=True)
        assert report.damage == ()
        assert [finding for finding in report.findings if finding.key.startswith("blobs/")] == []
