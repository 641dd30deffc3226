"""Checks that every evaluation and decision that a dossier cites is there, under its version and about it."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from bucketry.errors import UNREADABLE
from bucketry.frozen import frozen
from bucketry.maintenance.fsck.kinds import Kind
from bucketry.maintenance.fsck.reading import DocumentFault, folder_of, list_entries, read_named, reason_of, report
from bucketry.schema import keys
from bucketry.schema.documents.dossier import Dossier, decode_dossier
from bucketry.schema.documents.evidence import Evidence, decode_evidence
from bucketry.schema.documents.reviews import Action, decode_review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.maintenance.fsck.findings import Findings
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.dossier import Citation
    from bucketry.schema.documents.head import Row
    from bucketry.schema.documents.reviews import Decision
    from bucketry.schema.names import Digest, ModelName
    from bucketry.store.contract import Store


@frozen
class AddedDocuments:
    """What was added to a version. `decisions` and `evidence` are None where not all of them could be read."""

    dossier: Dossier
    decisions: tuple[Decision, ...] | None
    evidence: tuple[Evidence, ...] | None = ()


@frozen
class _Citation:
    row: Row
    cited: Citation
    is_review: bool

    @property
    def what(self) -> str:
        kind = "a decision" if self.is_review else "an evaluation"
        return f"{kind} that the dossier of version {self.row.version} cites"


class CitedCheck:
    """All dossiers of a model and what they cite; what lies there is listed before the head is read."""

    def __init__(
        self, session: Session, model: ModelName, registry: str | None, findings: Findings, *, deep: bool
    ) -> None:
        self._store = session.store
        self._map_in_parallel = session.map_in_parallel
        self._model = model
        self._registry = registry
        self._findings = findings
        self._deep = deep
        self._cited: set[str] = set()
        self._evidence = self._list(keys.EVIDENCE)
        self._reviews = self._list(keys.REVIEWS)

    def check(self, rows: Sequence[Row]) -> dict[int, AddedDocuments]:
        """Report what is wrong with the rows' dossiers and what they cite; return those that can be read, by version.

        Everything is read once and in parallel; a row without a dossier has an empty one.
        """
        dossiers = self._load_dossiers(rows)
        citations = [
            _Citation(row, cited, is_review)
            for row in rows
            if row.version in dossiers
            for is_review, listed in ((False, dossiers[row.version].evidence), (True, dossiers[row.version].reviews))
            for cited in listed
        ]
        loaded = self._map_in_parallel(self._load_cited, citations)
        decisions: dict[int, list[Decision]] = {}
        evidence: dict[int, list[Evidence]] = {}
        incomplete: set[int] = set()
        unmeasured: set[int] = set()
        for citation, found in zip(citations, loaded, strict=True):
            if isinstance(found, Evidence):
                evidence.setdefault(citation.row.version, []).append(found)
            elif not citation.is_review:
                unmeasured.add(citation.row.version)
            decision = self._judge(citation, None if isinstance(found, Evidence) else found)
            if decision is not None:
                decisions.setdefault(citation.row.version, []).append(decision)
            elif citation.is_review:
                incomplete.add(citation.row.version)
        return {
            version: AddedDocuments(
                dossier,
                None if version in incomplete else tuple(decisions.get(version, ())),
                None if version in unmeasured else tuple(evidence.get(version, ())),
            )
            for version, dossier in dossiers.items()
        }

    def find_garbage(self) -> None:
        """Report every evaluation and decision that was listed and that no dossier cites."""
        for kind, listed in (("evaluation", self._evidence), ("decision", self._reviews)):
            for key in listed:
                if key not in self._cited:
                    self._findings.add(Kind.DOCUMENT_UNNAMED, key, f"No version cites this {kind}.")

    def _list(self, prefix: str) -> list[str]:
        return [entry.key for entry in list_entries(self._store, prefix + folder_of(self._model), self._findings)]

    def _load_dossiers(self, rows: Sequence[Row]) -> dict[int, Dossier]:
        named = [(row, row.dossier) for row in rows if row.dossier is not None]
        read = self._map_in_parallel(lambda item: read_dossier(self._store, self._model, item[1]), named)
        dossiers = {row.version: Dossier(row.manifest) for row in rows if row.dossier is None}
        for (row, digest), found in zip(named, read, strict=True):
            key = keys.page(self._model, digest)
            dossier = report(
                self._findings, Kind.DOSSIER_LOST, key, f"the dossier of {self._model}:{row.version}", found
            )
            if dossier is None:
                continue
            if dossier.manifest != row.manifest:
                words = f"The dossier of version {row.version} is that of another manifest."
                self._findings.add(Kind.DOSSIER_LOST, key, words)
            # What is cited more than once is reported: a decision that is cited twice must not be told as two.
            cited = Counter(cited.key for cited in (*dossier.evidence, *dossier.reviews))
            for name, times in cited.items():
                if times > 1:
                    words = f"The dossier of version {row.version} cites {name} {times:,} times."
                    self._findings.add(Kind.DOSSIER_CONTRADICTION, key, words)
            dossiers[row.version] = dossier
        return dossiers

    def _load_cited(self, citation: _Citation) -> Decision | Evidence | DocumentFault:
        """Return the decision or the evaluation that is cited, or what is wrong."""
        cited, manifest = citation.cited, citation.row.manifest
        if not citation.is_review:
            decode = partial(decode_evidence, manifest=manifest, what=cited.key)
            return read_named(self._store, cited.key, cited.sha256, decode)
        found = read_named(self._store, cited.key, cited.sha256, partial(decode_review, what=cited.key))
        if self._deep and not isinstance(found, DocumentFault) and found.review.sshsig is not None:
            from bucketry.trust.ssh.sshsig import verify_signature  # noqa: PLC0415 - loads cryptography

            try:
                verify_signature(found.review.sshsig, found.review.payload, namespace=found.statement.namespace)
            except UNREADABLE as error:
                return DocumentFault(f"its signature does not hold: {reason_of(error)}")
        return found

    def _judge(self, citation: _Citation, found: Decision | DocumentFault | None) -> Decision | None:
        key, digest, manifest = citation.cited.key, citation.cited.sha256, citation.row.manifest
        self._cited.add(key)
        own = (keys.review if citation.is_review else keys.evidence)(self._model, manifest, digest)
        if key != own:
            self._findings.add(
                Kind.CITED_MISPLACED, key, f"This is {citation.what}, and does not lie under that version's manifest."
            )
        kind = Kind.DECISION_LOST if citation.is_review else Kind.EVIDENCE_LOST
        decision = report(self._findings, kind, key, citation.what, found)
        other = self._find_other_subject(citation.row, decision) if decision else ""
        if other:
            self._findings.add(Kind.CITED_MISPLACED, key, f"This is {citation.what}, and is about another {other}.")
            return None
        return decision

    def _find_other_subject(self, row: Row, decision: Decision) -> str:
        """Return what a decision is about that is not the row's; empty where all of it is."""
        statement = decision.statement
        unnumbered = statement.action is Action.PUBLISH and statement.version is None
        subjects = (
            ("registry", self._registry is None or statement.registry == self._registry),
            ("model", statement.model == self._model),
            ("manifest", statement.manifest == row.manifest),
            ("version", unnumbered or statement.version == row.version),
        )
        return next((name for name, is_own in subjects if not is_own), "")


def read_dossier(store: Store, model: ModelName, digest: Digest) -> Dossier | DocumentFault:
    """Return a dossier, or what is wrong with it."""
    key = keys.page(model, digest)
    return read_named(store, key, digest, partial(decode_dossier, what=key))
