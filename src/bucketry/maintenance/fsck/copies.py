"""Checks that each copy says what its source says.

A row repeats what the manifest, the evidence and the audit records say, so that a list is one read; an alias repeats
what the head and the decisions say, so that a server's answer is two. Nobody compares them when they are shown. So each
copy is derived here once more from its source. What no source says stands in `docs/format.md`: the text of an edit, the
key that a publish was made with, how often the epoch was raised.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bucketry.errors import CorruptError
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.registry.review.carried import carried_reviews
from bucketry.schema.documents.alias import MOVES
from bucketry.schema.documents.audit import AuditAction, target_version
from bucketry.schema.documents.evidence import headline_values
from bucketry.schema.documents.head import fit_metrics
from bucketry.schema.documents.retention import read_retention
from bucketry.schema.documents.reviews import REFUSALS, Action
from bucketry.schema.documents.states import SERVABLE, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bucketry.maintenance.fsck.cited import AddedDocuments
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.audit import Record
    from bucketry.schema.documents.evidence import Evidence
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.manifest import Manifest
    from bucketry.schema.documents.policy import Policy
    from bucketry.schema.documents.settings import RegistryDocument

LIFE: Mapping[str, State | None] = {
    AuditAction.RETIRE: State.RETIRED,
    AuditAction.UNRETIRE: None,
    AuditAction.BEGIN_DELETION: State.DELETING,
    AuditAction.CANCEL_DELETION: None,
    AuditAction.DELETE: State.DELETED,
    AuditAction.REJECT: None,
    AuditAction.REVOKE: None,
}
"""The audit actions by which a version ends, and the state that each leaves; None: another than these ends."""
RECORDED_ONCE = frozenset({Action.REQUEST, Action.COMMENT, Action.APPROVE, Action.REJECT, Action.REVOKE})
"""Each commit of one of these cites one decision."""
CLOCKS_APART = timedelta(minutes=2)
"""How far the clocks of two writers, whose records of two registers are put in order here, may be apart."""
SEVERAL_ENDED = frozenset({State.RETIRED, State.DELETING, State.DELETED})


@dataclass(slots=True)
class Story:
    """What the whole trail of a head says: of the model as such, and of each version, oldest first."""

    records: Sequence[Record] = ()
    versions: dict[str, list[Record]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the records by the version that they are about."""
        for record in self.records:
            self.versions.setdefault(record.target, []).append(record)

    def of(self, version: int) -> Sequence[Record]:
        """Return the records about a version."""
        return self.versions.get(str(version), ())

    def find_head_faults(self, head: Head) -> Iterator[str]:
        """Yield what the head as a whole says otherwise than its records."""
        published = [record.target for record in self.records if record.action == AuditAction.PUBLISH]
        given = [str(version) for version in range(1, head.next_version)]
        if published != given:
            yield (
                f"The next version is {head.next_version:,}, but the audit records name {len(published):,} publishes, "
                f"the last of version {published[-1] if published else 'none'}."
            )
        named = {record.target for record in self.records if record.action == AuditAction.CREATE_ALIAS}
        if len(set(head.aliases)) < len(head.aliases):
            yield "An alias is named twice."
        for alias in sorted(named - set(head.aliases)):
            yield f"The alias {alias} was named by an audit record, and no name ever leaves the head."
        for alias in sorted(set(head.aliases) - named):
            yield f"No audit record names the alias {alias}."
        about_model = any(record.action == AuditAction.EDIT and not record.target for record in self.records)
        if (head.description or head.labels) and not about_model:
            yield "The model has a description or labels, and no audit record of an edit."
        if head.retention is not None:
            yield from _find_rule_faults(head.retention, self.of_action(AuditAction.SET_RETENTION))

    def of_action(self, action: AuditAction) -> Record | None:
        """Return the newest record with this action."""
        return next((record for record in reversed(self.records) if record.action == action), None)

    def find_row_faults(self, row: Row) -> Iterator[str]:
        """Yield what a row says of the version's life otherwise than the records."""
        last = next((record for record in reversed(self.of(row.version)) if record.action in LIFE), None)
        ended = LIFE[last.action] if last is not None else None
        now = row.state if row.state in SEVERAL_ENDED else None
        if now is not ended:
            said = f"its audit records say that it is {ended}" if ended else "no audit record says so"
            yield f"Version {row.version} is {row.state} in the head, and {said}."
        if (row.deletion is not None) != (row.state is State.DELETING):
            yield f"Version {row.version} is {row.state}, and its mark of a deletion does not fit that."
        if row.deletion is not None and (last is None or last.generation != row.deletion.generation):
            yield f"The deletion of version {row.version} is not the one that the audit records say."
        if row.deletion is not None and row.deletion.before not in self._before_deletion(row):
            yield f"Version {row.version} was not {row.deletion.before} before its deletion began."

    def states_between(self, row: Row, since: datetime, until: datetime) -> frozenset[State]:
        """Return the states that a version may have had at some moment of a span, as far as its records tell."""
        possible: set[State] = set()
        now: frozenset[State] = frozenset()
        records = self.of(row.version)
        newest = next((record for record in reversed(records) if _states_after(record, frozenset())), None)
        for record in records:
            after = _states_after(record, now)
            if record is newest and row.state in after:
                after = frozenset({row.state})
            at = datetime.fromisoformat(record.at)
            if at <= since:
                possible = set(after)
            elif at <= until:
                possible |= after
            now = after
        return frozenset(possible)

    def _before_deletion(self, row: Row) -> frozenset[State]:
        now: frozenset[State] = frozenset()
        for record in self.of(row.version):
            if row.deletion is not None and record.generation >= row.deletion.generation:
                break
            now = _states_after(record, now)
        return now


def _find_rule_faults(rules: Mapping[str, object], set_by: Record | None) -> Iterator[str]:
    """Yield it if retention rules cannot be read, or are not those that were set last."""
    try:
        read_retention(rules, what="retention")
    except CorruptError as error:
        yield f"The retention rules cannot be read: {error.message}."
    said = {} if set_by is None else dict(set_by.detail)
    if set_by is None or any(rules.get(name) != value for name, value in said.items()):
        yield "The retention rules are not those that the audit records say."


def find_registry_faults(document: RegistryDocument) -> Iterator[str]:
    """Yield what the registry's own document repeats otherwise than its audit records, as far as it still has them."""
    first = document.trail.records[0]
    created = datetime.fromisoformat(document.created_at)
    if first.generation == 1 and abs(created - datetime.fromisoformat(first.at)) > CLOCKS_APART:
        yield f"The registry was created at {document.created_at} by its document, and at {first.at} by its records."
    if first.generation != 1:
        return  # when the probes were made is not known any more
    for result in document.conformance:
        at = datetime.fromisoformat(result.at)
        near = [r for r in document.trail.records if abs(datetime.fromisoformat(r.at) - at) <= CLOCKS_APART]
        probed = [record for record in near if record.action in {AuditAction.CREATE_REGISTRY, AuditAction.PROBE_STORE}]
        word = "passed" if result.passed else "broken"
        if not any(record.target in {word, ""} for record in probed):
            yield f"The probe of {result.endpoint} at {result.at} is {word} by the document, and not by its records."


def find_copy_faults(row: Row, manifest: Manifest) -> Iterator[str]:
    """Yield what a row repeats otherwise than its manifest."""
    who = f"Version {row.version}"
    if row.created_at != manifest.created_at:
        yield f"{who} was created at {row.created_at} by the head, and at {manifest.created_at} by its manifest."
    if row.created_by != manifest.created_by:
        yield f"{who} was created by {row.created_by!a} by the head, and by {manifest.created_by!a} by its manifest."
    parent = manifest.lineage.parents[0] if manifest.lineage.parents else None
    base = f"{parent.model}:{parent.version}" if parent else None
    if row.base != base:
        yield f"{who} has the base {row.base!a} in the head, and {base!a} in its manifest."


def find_label_faults(row: Row, manifest: Manifest, story: Story) -> Iterator[str]:
    """Yield it if the labels are not those that were published, and nobody edited the version."""
    is_edited = any(record.action == AuditAction.EDIT for record in story.of(row.version))
    if not is_edited and dict(row.labels) != dict(manifest.labels):
        yield f"Version {row.version} has other labels than its manifest, and no audit record of an edit."


def find_metric_faults(
    row: Row, evidence: Sequence[Evidence], policies: Sequence[Policy] | None, story: Story | None
) -> Iterator[str]:
    """Yield what a row shows and nobody measured, or what it leaves out. `policies` are all that may have chosen."""
    measured = headline_values(evidence)
    for name, value in row.metrics.items():
        if name not in measured:
            yield f"Version {row.version} shows {name!a}, which none of its evaluations measured over a whole data set."
        elif measured[name] != value:
            yield f"Version {row.version} shows {name!a} as {value}, and its evaluations say {measured[name]}."
    if policies is None or story is None or any(record.action == AuditAction.EDIT for record in story.of(row.version)):
        return  # what was chosen, or how much room there was beside the labels, is not known
    bare = replace(row, metrics={})
    chosen = (headline_values(evidence, policy.headline_metrics) for policy in policies)
    if not any(dict(fit_metrics(bare, shown)) == dict(row.metrics) for shown in chosen):
        yield f"Version {row.version} does not show the metrics that it should."


def find_dossier_faults(row: Row, added: AddedDocuments, story: Story) -> Iterator[str]:
    """Yield what was committed about a version and its dossier does not cite, or the other way round."""
    records = story.of(row.version)
    if added.decisions is not None:
        committed = Counter(record.action for record in records)
        cited = Counter(decision.statement.action for decision in added.decisions)
        for action in sorted(RECORDED_ONCE):
            recorded = committed[action.audited]
            if recorded > cited[action] and action not in REFUSALS:
                lost = recorded - cited[action]
                yield f"Its dossier does not cite {lost:,} of the decisions to {action} version {row.version}."
            if cited[action] > recorded:
                more = cited[action] - recorded
                yield f"Its dossier cites {more:,} decisions to {action} version {row.version} that were not committed."
    count = 0
    cited_ids = {known.sha256 for known in added.dossier.evidence}
    for record in records:
        if record.action == AuditAction.EVALUATE:
            first, several = str(record.detail.get("evidence", "")), record.detail.get("added")
            count += several if isinstance(several, int) else 1
            if first and not any(sha256.startswith(first) for sha256 in cited_ids):
                yield f"The dossier of version {row.version} does not cite the evaluation {first} that was added."
    if count != len(added.dossier.evidence):
        yield (
            f"The dossier of version {row.version} cites {len(added.dossier.evidence):,} evaluations, "
            f"and the audit records add {count:,}."
        )
    if added.dossier.notes and not any(record.action == AuditAction.EDIT for record in records):
        yield f"Version {row.version} has notes that were added, and no audit record of an edit."


def find_alias_faults(
    register: AliasRegister, row: Row, records: Sequence[Record], story: Story | None, policies: Mapping[str, bool]
) -> Iterator[tuple[Kind, str]]:
    """Yield what an alias says of its version otherwise than its own records and those of the head.

    `policies` says whether some policy of the model's whole history, at all, protects it, or does not.
    """
    target = register.target
    last = next((record for record in reversed(records) if record.action in MOVES), None)
    named = target_version(last, what="the alias's records") if last is not None else None
    if named != (target.version if target else None):
        names = _version(target.version if target is not None else None)
        yield Kind.ALIAS_CONTRADICTION, f"The alias names {names}, and its last move was to {_version(named)}."
    if target is None or last is None:
        return
    if not policies["yes" if register.protected else "no"]:
        said = "" if register.protected else "not "
        yield Kind.ALIAS_STATE_WRONG, f"The alias says that it is {said}protected, and no policy ever said so."
    told = next((record for record in reversed(records) if record.action in {*MOVES, AuditAction.UPDATE_STATE}), last)
    if told.action == AuditAction.UPDATE_STATE:
        possible = frozenset({State(str(told.detail["state"]))} if told.detail.get("state") in set(State) else State)
    elif story is None:
        return
    else:
        at = datetime.fromisoformat(told.at)
        possible = story.states_between(row, at - CLOCKS_APART, at + CLOCKS_APART) & SERVABLE
    if target.state not in possible:
        words = " or ".join(sorted(possible)) or "nothing that may be served"
        yield (
            Kind.ALIAS_STATE_WRONG,
            f"The alias says that its version is {target.state}; when it was set, it was {words}.",
        )


def is_behind(register: AliasRegister, added: AddedDocuments) -> bool:
    """Tell whether an alias does not carry the decisions that it should by now, or carries them otherwise."""
    return added.decisions is not None and tuple(register.reviews) != carried_reviews(added.decisions)


def _states_after(record: Record, before: frozenset[State]) -> frozenset[State]:
    match record.action:
        case AuditAction.PUBLISH:
            return frozenset({State.REGISTERED})
        case AuditAction.REQUEST_REVIEW:
            return frozenset({State.IN_REVIEW})
        case AuditAction.APPROVE:
            return frozenset({State.IN_REVIEW, State.APPROVED})
        case AuditAction.REJECT | AuditAction.REVOKE:
            return frozenset({State.REJECTED})
        case AuditAction.UNRETIRE | AuditAction.CANCEL_DELETION:
            return frozenset({State.REGISTERED, State.IN_REVIEW, State.APPROVED, State.REJECTED, State.RETIRED})
        case action:
            ended = LIFE.get(action)
            return frozenset({ended}) if ended is not None else before


def _version(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
