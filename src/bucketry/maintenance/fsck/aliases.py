"""Checks that each alias says what the head says about its version, and what was decided about that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.maintenance.fsck.blobs import named_blobs
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import look_for, reason_of
from bucketry.schema import keys
from bucketry.schema.codec import Fields, digest_of
from bucketry.schema.documents.manifest import decode_manifest
from bucketry.schema.documents.reviews import REFUSALS, read_review
from bucketry.schema.documents.states import State
from bucketry.store.contract import Object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bucketry.maintenance.fsck.blobs import BlobCheck
    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister, AliasTarget
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.replica import Selection
    from bucketry.schema.documents.reviews import Decision, Review
    from bucketry.schema.names import ModelName


class AliasCheck:
    """The aliases of one model, whose registers were read before its head."""

    def __init__(
        self, session: Session, model: ModelName, registry: str | None, selection: Selection, findings: Findings
    ) -> None:
        self._session = session
        self._model = model
        self._registry = registry
        self._selection = selection
        self._findings = findings

    def check(
        self,
        register: AliasRegister,
        rows: Mapping[int, Row],
        decisions: Mapping[int, tuple[Decision, ...] | None],
        blobs: BlobCheck,
    ) -> None:
        """Check a register against the model's rows and the decisions of the version that it names.

        Decisions that are None could not all be read, so that nothing can be said about those that the alias carries.
        """
        key = keys.alias(self._model, register.alias)
        if self._registry is not None and register.registry != self._registry:
            self._findings.add(
                Kind.REGISTER_FOREIGN, key, f"The alias belongs to the registry {register.registry}, not to this one."
            )
        reviews = None
        try:
            reviews = [read_review(Fields(review, what=f"{key}: reviews")) for review in register.reviews]
        except UNREADABLE as error:
            words = f"The alias carries a decision that cannot be read: {reason_of(error)}."
            self._findings.add(Kind.ALIAS_CONTRADICTION, key, words)
        target = register.target
        if target is None:
            if register.reviews or register.protected:
                self._findings.add(
                    Kind.ALIAS_CONTRADICTION, key, "The alias names no version, and carries decisions about one."
                )
            return
        row = rows.get(target.version)
        about = {"model": self._model, "alias": register.alias}
        if row is None:
            self._findings.add(
                Kind.ALIAS_TARGET_LOST, key, f"The alias names version {target.version}, which is not there.", **about
            )
        elif row.state is State.DELETED:
            self._findings.add(
                Kind.ALIAS_TARGET_LOST, key, f"The alias names version {target.version}, which is deleted.", **about
            )
        elif row.manifest != target.manifest:
            self._findings.add(
                Kind.ALIAS_TARGET_LOST,
                key,
                f"The alias names another manifest than version {target.version} has.",
                **about,
            )
        else:
            if row.placement != target.placement:
                self._check_placement(key, register, target, blobs)
            known = decisions.get(target.version)
            if known is not None and reviews is not None:
                self._check_decisions(key, target, reviews, known)

    def _check_decisions(
        self, key: str, target: AliasTarget, reviews: Sequence[Review], known: Sequence[Decision]
    ) -> None:
        cited = [decision.review for decision in known]
        foreign = sum(review not in cited for review in reviews)
        if foreign:
            self._findings.add(
                Kind.ALIAS_CONTRADICTION,
                key,
                f"The alias carries {foreign} of {len(reviews)} decisions that version {target.version} does not.",
            )
        missing = [d for d in known if d.statement.action in REFUSALS and d.review not in reviews]
        if missing:
            statement = missing[-1].statement
            self._findings.add(
                Kind.REFUSAL_NOT_TOLD,
                key,
                f"The alias names version {target.version} and does not carry that {statement.principal} refused it.",
                action=statement.action,
                model=self._model,
                version=target.version,
            )

    def _check_placement(self, key: str, register: AliasRegister, target: AliasTarget, blobs: BlobCheck) -> None:
        """Check a placement that the row no longer has: after a move, both places hold the bytes for a while."""
        found = look_for(self._session.store, keys.manifest(self._model, target.manifest))
        if not isinstance(found, Object) or digest_of(found.body) != target.manifest:
            return  # reported with the row
        try:
            manifest = decode_manifest(found.body, what=key)
        except UNREADABLE:
            return  # the same
        named = named_blobs(self._model, target.placement, manifest)
        if named is None:
            self._findings.add(
                Kind.PLACEMENT_WRONG, key, "The alias's placement does not count the artifacts of its version."
            )
        else:
            here = self._selection.holds_bytes_of(register.alias)
            blobs.check(f"the alias {register.alias}", named, must_be_here=here)
