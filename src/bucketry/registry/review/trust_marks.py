"""Which versions would a reader with this profile's trust file serve? Said where they are only looked at.

Whoever serves is bound by the trust file (`strict.py`). `show`, `diff` and `lineage` show what it refuses too, but not
as if it were accepted. Nothing is read or remembered for this where the profile names no trust file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import BucketryError
from bucketry.frozen import frozen
from bucketry.registry.core.registers import load_existing_head
from bucketry.registry.core.resolve import resolved_row
from bucketry.registry.core.rows import load_dossier, load_row
from bucketry.registry.review.standings import load_decisions
from bucketry.registry.review.strict import NEVER_SERVED, carried_decisions
from bucketry.registry.serving.known_aliases import load_aliases
from bucketry.trust.judge import JudgedVersion, judge
from bucketry.trust.trust_file import load_trust_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session
    from bucketry.registry.versions.detail import VersionDetail
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import AliasName, ModelName
    from bucketry.trust.trust_file import TrustFile

BY_NUMBER = "by number"


@frozen
class TrustMark:
    """As what a version is accepted (`@production`, or by its number), and why it is not as anything else."""

    accepted_as: tuple[str, ...]
    refusals: tuple[tuple[str, str], ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the trust file accepts the version under any of its names."""
        return bool(self.accepted_as)

    @property
    def text(self) -> str:
        """What is said of it in one line."""
        if self.accepted_as:
            return f"accepted {' '.join(self.accepted_as)}"
        _, reason = self.refusals[0]
        return f"NOT TRUSTED here: {reason}"

    def to_document(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "accepted": self.is_accepted,
            "accepted_as": list(self.accepted_as),
            "refusals": [{"as": name, "reason": reason} for name, reason in self.refusals],
        }


def trust_mark_of(session: Session, detail: VersionDetail) -> TrustMark | None:
    """Return what the profile's trust file says of a version that was read; None where it names none.

    Raises `RejectedError` for a trust file that cannot be relied on.
    """
    trust = _find_trust_file(session)
    if trust is None:
        return None
    registry = session.registry.registry
    return _mark(_judgements(session, trust, registry, detail.row, detail.resolved, detail.aliases, detail.reviews))


def trust_marks_of(
    session: Session, versions: Sequence[tuple[ModelName, int]], *, heads: Mapping[ModelName, Head] | None = None
) -> dict[str, TrustMark]:
    """Return for each `model:version` what the profile's trust file says; nothing where it names none.

    Costs the heads of the models, unless they were just read, and for each version its aliases and decisions. A version
    that is not in the registry is left out; one whose decisions cannot be read is refused. Raises `RejectedError` for a
    trust file that cannot be relied on.
    """
    trust = _find_trust_file(session)
    if trust is None:
        return {}
    marks: dict[str, TrustMark] = {}
    for model in dict.fromkeys(model for model, _ in versions):
        try:
            head = (heads or {}).get(model) or load_existing_head(session, model)
        except BucketryError:
            continue
        registers = load_aliases(session, head)
        for version in (version for named, version in versions if named == model):
            try:
                row = load_row(session, head, version)
                decisions = load_decisions(session, load_dossier(session, head, row))
                resolved = resolved_row(session, head, row)
                judgements = _judgements(session, trust, head.registry, row, resolved, registers, decisions)
                marks[f"{model}:{version}"] = _mark(judgements)
            except BucketryError as error:
                marks[f"{model}:{version}"] = _unreadable(error)
    return marks


def _find_trust_file(session: Session) -> TrustFile | None:
    path = session.profile.trust if session.profile is not None else None
    return None if path is None else load_trust_file(path)


def _mark(judgements: Iterable[tuple[str, str]]) -> TrustMark:
    try:
        judged = list(judgements)
    except BucketryError as error:
        return _unreadable(error)
    accepted = tuple(name for name, refusal in judged if not refusal)
    return TrustMark(accepted, tuple((name, refusal) for name, refusal in judged if refusal))


def _unreadable(error: BucketryError) -> TrustMark:
    """Return the mark of what cannot be read, which is nothing to trust."""
    return TrustMark((), ((BY_NUMBER, error.message),))


def _judgements(  # noqa: PLR0917 - each is one thing that a judgement is about
    session: Session,
    trust: TrustFile,
    registry: str,
    row: Row,
    resolved: ResolvedVersion,
    registers: Sequence[AliasRegister],
    decisions: Sequence[Decision],
) -> Iterator[tuple[str, str]]:
    """Yield each name of the version, and why the trust file refuses it under that, or ""."""

    def refusal(alias: AliasName | None, generation: int | None, counting: Sequence[Decision]) -> str:
        if registry != trust.registry:
            return f"the trust file is about registry {trust.registry}"
        if row.state in NEVER_SERVED:
            return f"it is {row.state}"
        subject = JudgedVersion(
            registry=registry,
            model=resolved.model,
            version=row.version,
            manifest=resolved.digest,
            created_by=resolved.manifest.created_by,
            alias=alias,
            generation=generation,
        )
        return judge(trust, subject, counting, now=session.clock.now()).refusal

    for register in registers:
        if register.target is not None and register.target.version == row.version:
            yield f"@{register.alias}", refusal(register.alias, register.generation, carried_decisions(register))
    yield BY_NUMBER, refusal(None, None, decisions)
