"""After everything that can happen: is the registry whole, and was every promise kept?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.gc.collection import Asked, plan_collection
from bucketry.registry.core.history import load_records
from bucketry.registry.core.registers import alias_register, head_register, load_alias, load_head
from bucketry.registry.core.resolve import load_manifest
from bucketry.registry.core.rows import iter_rows, load_added_evidence, load_dossier
from bucketry.registry.core.session import Session
from bucketry.registry.review.standings import load_decisions, load_standing
from bucketry.registry.versions.retention import REASON
from bucketry.schema import keys
from bucketry.schema.codec import Fields, digest_of
from bucketry.schema.documents.alias import MOVES
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.placement import decode_placement
from bucketry.schema.documents.reviews import REFUSALS, Action, decision_of, read_review
from bucketry.schema.documents.states import BLOBS_KEPT
from bucketry.store.contract import Entry
from simulation.actors import CHAT
from simulation.mirrors import find_broken_replica

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.dossier import Dossier
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.reviews import Decision
    from simulation.actors import Attempt, History
    from simulation.world import World


IN_MANY_COMMITS = frozenset({"collect", "mirror", "retain", "delete", "delete-model", *(Action.APPROVE, *REFUSALS)})
"""Operations of which a part may be committed when they fail."""


_DECISIONS = frozenset(action.audited for action in Action if action is not Action.PUBLISH)
"""What is recorded for each decision that a dossier cites; nobody here signs what he publishes."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the bucket holds in the end: every register's records, and every head's rows."""

    records: dict[str, list[Record]]
    rows: dict[str, list[Row]]


def find_broken_promises(world: World, history: History) -> list[str]:
    """Return what is wrong after a run, in words; nothing if all is well."""
    if world.failures:
        return list(world.failures)
    session = Session(world.bucket, actor="oracle@example.org")
    damage = check_registry(session).damage
    if damage:
        return [f"{finding.key}: {finding.message}" for finding in damage]
    evidence = _collect(session)
    return [
        *_duplicates(evidence),
        *_broken_commits(history, evidence),
        *_broken_publishes(history, evidence),
        *_broken_moves(history, evidence),
        *_broken_undos(evidence),
        *_broken_sights(history, evidence),
        *_broken_decisions(session, history, evidence),
        *_broken_evaluations(session, history, evidence),
        *(f"a pull was robbed of {attempt.robbed}" for attempt in history.attempts if attempt.robbed),
        *_passed_over(session),
        *_not_retained(evidence),
        *find_broken_replica(world),
    ]


def find_freed(world: World) -> list[str]:
    """Return which bytes are gone that a live version, an alias or a version made from another one needs.

    Unlike the whole check it also looks where a careless program has deleted what others are made from.
    """
    if world.failures:
        return list(world.failures)
    session = Session(world.bucket, actor="oracle@example.org")
    there = {entry.key for entry in world.bucket.list(keys.BLOBS) if isinstance(entry, Entry)}
    broken = []
    for entry in world.bucket.list(keys.HEADS):
        model = keys.model_of_head(entry.key) if isinstance(entry, Entry) else None
        head = load_head(session, model).state if model is not None else None
        assert head is not None
        for row in iter_rows(session, head):
            if row.state in BLOBS_KEPT or load_dossier(session, head, row).dependents:
                artifacts = load_manifest(session, head.model, row.manifest).artifacts
                epochs = decode_placement(row.placement, artifacts=len(artifacts), what="row")
                needed = {keys.blob(head.model, e, a.sha256) for e, a in zip(epochs, artifacts, strict=True)}
                broken += [f"{head.model}:{row.version} needs {key}" for key in needed - there]
    return broken


def _not_retained(evidence: Evidence) -> Iterator[str]:
    """No deletion by rules began with the version that was the newest then."""
    for key, records in evidence.records.items():
        there: set[int] = set()
        for record in records if key.startswith(keys.HEADS) else ():
            if record.action in {AuditAction.PUBLISH, AuditAction.CANCEL_DELETION}:
                there.add(int(record.target))
            elif record.action == AuditAction.BEGIN_DELETION:
                if record.detail.get("reason") == REASON and int(record.target) == max(there):
                    yield f"retention gave up version {record.target}, the newest of {sorted(there)}"
                there.discard(int(record.target))


def _passed_over(session: Session) -> Iterator[str]:
    """A collection that believes what the last one left finds what one finds that believes nothing."""
    found, all_of_it = (plan_collection(session, Asked(0.0, is_full)).totals for is_full in (False, True))
    if found != all_of_it:
        yield f"a collection passes over garbage: it finds {found}, and there is {all_of_it}"


def _collect(session: Session) -> Evidence:
    records: dict[str, list[Record]] = {}
    rows: dict[str, list[Row]] = {}
    for entry in session.store.list(keys.HEADS):
        model = keys.model_of_head(entry.key) if isinstance(entry, Entry) else None
        assert model is not None
        register = head_register(session, model)
        head = load_head(session, model).state
        assert head is not None
        records[register.key] = load_records(session, register, head.trail)
        rows[register.key] = list(iter_rows(session, head))
        for name in head.aliases:
            alias = load_alias(session, model, name)
            if alias.state is not None:
                own = alias_register(session, model, name)
                records[own.key] = load_records(session, own, alias.trail)
    return Evidence(records, rows)


def _duplicates(evidence: Evidence) -> Iterator[str]:
    counts = Counter(record.transaction for records in evidence.records.values() for record in records)
    yield from (f"transaction {one} was committed {n} times" for one, n in counts.items() if n > 1)
    for key, rows in evidence.rows.items():
        published = sum(record.action == "publish" for record in evidence.records[key])
        if published != len(rows):
            yield f"{key} has {len(rows)} versions and {published} records of publishing"


def _broken_commits(history: History, evidence: Evidence) -> Iterator[str]:
    """An acknowledged commit is in its register's chain once, a failed one is not, a doubtful one is at most once."""
    for attempt in history.attempts:
        chain = {record.transaction for record in evidence.records.get(attempt.register, ())}
        landed = [one for one in attempt.transactions if one in chain]
        if attempt.status == "failed" and landed and attempt.kind not in IN_MANY_COMMITS:
            yield f"{attempt.kind} failed with {attempt.error!r}, and was committed as {landed[0]}"
        if attempt.status == "acknowledged" and attempt.kind in {"retire", "unretire", "edit"} and len(landed) != 1:
            yield f"an acknowledged {attempt.kind} was committed {len(landed)} times"
        if attempt.kind not in IN_MANY_COMMITS and len(landed) > 1:
            yield f"one {attempt.kind} was committed {len(landed)} times"


def _broken_publishes(history: History, evidence: Evidence) -> Iterator[str]:
    by_key: dict[str, int] = {}
    for attempt in history.attempts:
        if attempt.kind != "publish":
            continue
        rows = evidence.rows.get(attempt.register, [])
        own = [row for row in rows if row.manifest == attempt.manifest]
        published = attempt.published
        if len(own) > 1:
            yield f"one publish became versions {[row.version for row in own]}"
        if attempt.status == "failed" and own:
            yield f"a publish failed with {attempt.error!r} and became version {own[0].version}"
        if published is None:
            continue
        if published.created and [row.version for row in own] != [published.version]:
            yield f"the acknowledged version {published.version} is not what its number names"
        yield from _broken_key(attempt, rows, by_key)


def _broken_key(attempt: Attempt, rows: list[Row], by_key: dict[str, int]) -> Iterator[str]:
    key, published = attempt.idempotency_key, attempt.published
    if key is None or published is None:
        return
    spelled = digest_of(key.encode())[:32]
    named = [row.version for row in rows if row.idempotency == spelled]
    if named != [published.version]:
        yield f"the idempotency key {key} gave version {published.version} and stands at versions {named}"
    if by_key.setdefault(key, published.version) != published.version:
        yield f"the idempotency key {key} gave two versions"


def _broken_moves(history: History, evidence: Evidence) -> Iterator[str]:
    for attempt in history.attempts:
        move = attempt.moved
        if move is None:
            continue
        records = evidence.records.get(attempt.register, [])
        if move.generation > len(records):
            yield f"an acknowledged {attempt.kind} to {move.target} is not in the chain of {attempt.register}"
        elif target_at(records, move.generation) != move.target:
            yield f"an acknowledged {attempt.kind} to {move.target} is not what generation {move.generation} says"


def _broken_undos(evidence: Evidence) -> Iterator[str]:
    """An undo takes back the newest move that stands, and an alias names again what it named before that move."""
    for key, records in evidence.records.items():
        states: list[tuple[int, str]] = [(0, "")]
        for record in records if key.startswith(keys.ALIASES) else ():
            if record.action == "undo":
                undone, _ = states.pop() if len(states) > 1 else (None, "")
                if (record.detail.get("undoes"), record.target) != (undone, states[-1][1]):
                    said = f"takes back {record.detail.get('undoes')} and names {record.target or 'nothing'}"
                    yield f"generation {record.generation} of {key} {said}, after {states}"
            elif record.action in MOVES and record.target != states[-1][1]:
                states.append((record.generation, record.target))


def _broken_sights(history: History, evidence: Evidence) -> Iterator[str]:
    newest: dict[str, int] = {}
    for sight in history.sights:
        if sight.generation < max(newest.get(sight.reader, 0), sight.at_least):
            yield f"{sight.reader} saw generation {sight.generation} of {sight.alias} after a newer one"
        newest[sight.reader] = max(newest.get(sight.reader, 0), sight.generation)
        chains = [records for key, records in evidence.records.items() if key.endswith(f"/{sight.alias}.json")]
        if not any(target_at(records, sight.generation) == sight.version for records in chains):
            yield f"{sight.reader} saw {sight.alias} name {sight.version} at generation {sight.generation}"


def _broken_decisions(session: Session, history: History, evidence: Evidence) -> Iterator[str]:
    """No alias names what was refused without saying so, and none was moved to what was not approved."""
    head = load_head(session, CHAT).state
    if head is None:
        return
    for name in head.aliases:
        register = load_alias(session, CHAT, name).state
        target = register.target if register is not None else None
        if register is not None and target is not None and target.version in history.refused:
            reviews = [read_review(Fields(dict(review), what=name)) for review in register.reviews]
            if not any(decision_of(review, what=name).statement.action in REFUSALS for review in reviews):
                yield f"{name} names version {target.version}, whose refusal was acknowledged, and does not carry it"
    rows = {row.version: row for row in evidence.rows[keys.head(CHAT)]}
    for attempt in history.attempts:
        move = attempt.moved
        if move is None or move.target is None or move.target == move.previous:
            continue
        if move.target in attempt.refused_before:
            yield f"{attempt.kind} moved {move.alias} to version {move.target}, whose refusal was acknowledged before"
        standing = load_standing(session, head, rows[move.target])
        if standing.policy.protects(move.alias):
            approvers = {d.statement.principal for d in standing.decisions if d.statement.action is Action.APPROVE}
            if len(approvers) < standing.policy.approvals_required:
                yield f"{attempt.kind} moved {move.alias} to version {move.target}, approved by {sorted(approvers)}"


def _broken_evaluations(session: Session, history: History, evidence: Evidence) -> Iterator[str]:
    """Each is there once if it was acknowledged; an approval names those, and only those, that came before it."""
    head = load_head(session, CHAT).state
    if head is None or all(attempt.measured is None for attempt in history.attempts):
        return
    for row in evidence.rows[keys.head(CHAT)]:
        dossier = load_dossier(session, head, row)
        values = [metric.value for item in load_added_evidence(session, dossier) for metric in item.metrics]
        for attempt in history.attempts:
            version, value = attempt.measured or (None, 0.0)
            found = values.count(value) if version == row.version else 0
            if found > 1 or (version == row.version and attempt.status == "acknowledged" and not found):
                yield f"an evaluation of version {version} is {attempt.status}, and there {found} times"
        records = [record for record in evidence.records[keys.head(CHAT)] if record.target == str(row.version)]
        yield from _approvals_of_other_evidence(records, dossier, load_decisions(session, dossier))


def _approvals_of_other_evidence(
    records: list[Record], dossier: Dossier, decisions: tuple[Decision, ...]
) -> Iterator[str]:
    left, cited = iter(decisions), set[str]()
    for record in records:
        if record.action == "evaluate":
            cited.add(dossier.evidence[len(cited)].sha256)
        elif record.action in _DECISIONS:
            named = next(left).statement.evidence
            if record.action == Action.APPROVE and set(named) != cited:
                yield f"an approval of version {record.target} names {len(named)} evaluations of {len(cited)}"


def target_at(records: list[Record], generation: int) -> int | None:
    """Return what an alias named after a generation, by its chain."""
    for record in reversed(records[:generation]):
        if record.action in MOVES:
            return int(record.target) if record.target else None
    return None
