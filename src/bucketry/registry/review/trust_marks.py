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
from bucketry.registry.serving.aliases import load_aliases
from bucketry.trust.judge import JudgedVersion, judge
from bucketry.trust.trust_file import load_trust_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister
    from bucketry.schema.documents.head import Head
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


def load_trust_marks(session: Session, versions: Sequence[tuple[ModelName, int]]) -> dict[str, TrustMark]:
    """Return for each `model:version` what the profile's trust file says; nothing where it names none.

    Costs the heads of the models, and for each version its aliases and decisions. A version that is not in the registry
    is left out; one whose decisions cannot be read is refused. Raises `RejectedError` for a trust file that cannot be
    relied on.
    """
    path = session.profile.trust if session.profile is not None else None
    if path is None:
        return {}
    trust = load_trust_file(path)
    marks: dict[str, TrustMark] = {}
    for model in dict.fromkeys(model for model, _ in versions):
        try:
            head = load_existing_head(session, model)
        except BucketryError:
            continue
        registers = load_aliases(session, head)
        for version in (version for named, version in versions if named == model):
            marks[f"{model}:{version}"] = _mark(session, trust, head, version, registers)
    return marks


def _mark(
    session: Session, trust: TrustFile, head: Head, version: int, registers: Sequence[AliasRegister]
) -> TrustMark:
    try:
        judged = list(_judgements(session, trust, head, version, registers))
    except BucketryError as error:  # what cannot be read is nothing to trust
        return TrustMark((), ((BY_NUMBER, error.message),))
    accepted = tuple(name for name, refusal in judged if not refusal)
    return TrustMark(accepted, tuple((name, refusal) for name, refusal in judged if refusal))


def _judgements(
    session: Session, trust: TrustFile, head: Head, version: int, registers: Sequence[AliasRegister]
) -> Iterator[tuple[str, str]]:
    """Yield each name of the version, and why the trust file refuses it under that, or ""."""
    row = load_row(session, head, version)
    resolved = resolved_row(session, head, row)

    def refusal(alias: AliasName | None, generation: int | None, decisions: Sequence[Decision]) -> str:
        if head.registry != trust.registry:
            return f"the trust file is about registry {trust.registry}"
        if row.state in NEVER_SERVED:
            return f"it is {row.state}"
        subject = JudgedVersion(
            registry=head.registry,
            model=head.model,
            version=version,
            manifest=resolved.digest,
            created_by=resolved.manifest.created_by,
            alias=alias,
            generation=generation,
        )
        return judge(trust, subject, decisions, now=session.clock.now()).refusal

    for register in registers:
        if register.target is not None and register.target.version == version:
            carried = carried_decisions(register)
            yield f"@{register.alias}", refusal(register.alias, register.generation, carried)
    yield BY_NUMBER, refusal(None, None, load_decisions(session, load_dossier(session, head, row)))
