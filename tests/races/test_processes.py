"""Do many processes that publish and promote at once lose nothing, double nothing and finish?"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bucketry.client import Reader, open_reader
from bucketry.errors import NotFoundError
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.registry.serving.auditing import load_audit
from bucketry.schema.names import parse_model_name
from races.processes import child
from races.worker import WorkDone, publish_and_promote

if TYPE_CHECKING:
    from bucketry.registry.serving.auditing import Audit
    from races.processes import Child

WORKERS = 8
ROUNDS = 9  # 72 versions: enough for the audit records of head and alias to be sealed while all write
MODEL = "races/shared"
ALIAS = "production"
MOST_POLLS = 10_000
POLL_SECONDS = 0.05


def test_eight_processes_publish_and_promote_and_nothing_is_lost_or_doubled(where: str) -> None:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(child(publish_and_promote, where, MODEL, ALIAS, number, ROUNDS))
            for number in range(WORKERS)
        ]
        for worker in workers:
            worker.go()
        seen = poll_until_all_are_done(where, workers)
        done: list[WorkDone] = [worker.result() for worker in workers]
    with open_reader(where) as reader:
        check_versions(reader, done)
        audit = load_audit(reader.session, parse_model_name(MODEL))
        assert audit.faults == ()
        check_promotions(audit, done)
        assert reader.resolve(f"{MODEL}@{ALIAS}").version == last_promoted(audit)
        report = check_registry(reader.session, deep=True)
        assert report.findings == ()  # not even garbage: nobody was killed
    assert seen == sorted(seen)
    check_attempts(audit, done)


def check_versions(reader: Reader, done: list[WorkDone]) -> None:
    found = {summary.version: summary.row.manifest for summary in reader.versions(MODEL) if summary.row}
    told = [(item.version, item.manifest) for work in done for item in work.acknowledged]
    assert sorted(found) == list(range(1, WORKERS * ROUNDS + 1))
    assert sorted(told) == sorted(found.items())


def check_promotions(audit: Audit, done: list[WorkDone]) -> None:
    recorded = {
        (entry.record.actor, int(entry.record.target), entry.record.generation)
        for entry in audit.entries
        if entry.alias == ALIAS
    }
    told = {(work.actor, item.version, item.promoted_at_generation) for work in done for item in work.acknowledged}
    assert recorded == told
    actions = Counter(entry.record.action for entry in audit.entries)
    assert actions["promote"] == actions["publish"] == WORKERS * ROUNDS


def check_attempts(audit: Audit, done: list[WorkDone]) -> None:
    """A commit makes each other process lose one attempt at most: the next one starts from that commit or a later."""
    waits = sum(work.waits for work in done)
    assert waits <= (WORKERS - 1) * len(audit.entries)


def last_promoted(audit: Audit) -> int:
    return max((e.record.generation, int(e.record.target)) for e in audit.entries if e.alias == ALIAS)[1]


def poll_until_all_are_done(where: str, workers: list[Child]) -> list[int]:
    """Return the alias's generations in the order in which a reader saw them."""
    seen: list[int] = []
    with open_reader(where) as reader:
        for _ in range(MOST_POLLS):
            finished = all(worker.pipe.poll() or not worker.process.is_alive() for worker in workers)
            try:
                resolved = reader.resolve(f"{MODEL}@{ALIAS}")
            except NotFoundError:
                assert not seen
            else:
                assert resolved.generation is not None
                seen.append(resolved.generation)
            if finished:
                break
            time.sleep(POLL_SECONDS)
    return seen
