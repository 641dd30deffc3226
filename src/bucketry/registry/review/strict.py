"""What may be served here, if the bucket is not believed.

A session with a trust file resolves through here. The alias is read, its registry's id and its generation are checked,
the manifest is hashed before it is parsed, and the signed decisions that the alias carries are judged by the trust
file. What is accepted has the version number that the reviewers signed. The decisions are judged once more, on a fresh
read, just before downloaded bytes take their place.

A version that no alias named is judged too, by the rules about any alias. But then nothing on this machine tells an
old state of the bucket from its newest: a refusal that is hidden there stays hidden.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import RejectedError
from bucketry.frozen import frozen
from bucketry.registry.core.history import iter_records_back
from bucketry.registry.core.registers import (
    alias_register,
    load_alias,
    load_existing_alias,
    load_existing_head,
    not_set,
)
from bucketry.registry.core.resolve import load_manifest, resolved_row, select_row
from bucketry.registry.core.resolved import ResolvedVersion
from bucketry.registry.core.rows import load_dossier
from bucketry.registry.review.standings import load_decisions
from bucketry.schema import keys
from bucketry.schema.codec import Fields
from bucketry.schema.documents.reviews import decision_of, read_review
from bucketry.schema.documents.states import State
from bucketry.schema.names import ByAlias, ByManifest, ByVersion, Reference
from bucketry.trust.generations import GenerationMemory, default_state_folder, is_told_refusal
from bucketry.trust.judge import MOST_DECISIONS, JudgedVersion, Judgement, UntrustedError, judge
from bucketry.trust.trust_file import TrustFile, load_trust_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.alias import AliasRegister, AliasTarget
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.reviews import Decision
    from bucketry.trust.generations import SeenGeneration

NEVER_SERVED = frozenset({State.REJECTED, State.DELETING, State.DELETED})
"""That the bucket says so is no proof, but reason enough not to serve."""


@frozen
class StrictMode:
    """A trust file, and what was seen on this machine before."""

    trust: TrustFile
    memory: GenerationMemory

    def resolve(self, session: Session, reference: Reference) -> ResolvedVersion:
        """Return what a reference names, if the trust file accepts it; raise `RejectedError` if not."""
        resolved, judgement = self.judge(session, reference)
        judgement.check()
        return resolved

    def judge(self, session: Session, reference: Reference) -> tuple[ResolvedVersion, Judgement]:
        """Return what a reference names, and whether and why the trust file accepts it.

        Raises `RollbackError` for an alias that went back, `UntrustedError` for one of another registry.
        """
        if isinstance(reference.selector, ByAlias):
            model, alias = reference.model, reference.selector.alias
            register = load_existing_alias(session, model, alias)
            seen = self._remember(session, register)
            if register.target is None:
                raise not_set(model, alias)
            return self._judge_target(session, register, register.target, seen)
        head = load_existing_head(session, reference.model)
        self.check_registry(head.registry)
        row = select_row(session, head, reference.selector)
        resolved = resolved_row(session, head, row)
        decisions = load_decisions(session, load_dossier(session, head, row))
        judgement = self._judge(session, resolved, decisions)
        return resolved, _with_state(judgement, row.state)

    def check_register(self, session: Session, register: AliasRegister) -> None:
        """Raise `RejectedError` unless an alias's register, as it was read, did not go back and may be followed.

        It may where the version that it names is accepted, or where it names none.
        """
        seen = self._remember(session, register)
        if register.target is not None:
            self._judge_target(session, register, register.target, seen)[1].check()

    def check_verification(self, verify: str) -> None:
        """Raise `RejectedError` for a way to verify bytes that somebody hostile could get past."""
        if verify != "sha256":
            raise RejectedError("with a trust file, bytes are verified by SHA-256", advice="leave out --verify fast")

    def check_again(self, session: Session, resolved: ResolvedVersion) -> None:
        """Raise unless the version is still accepted, by decisions that are read now.

        Where the alias moved on meanwhile, what it carries says nothing about this version any more: its own decisions
        are read from the head then, and what the alias was ever told of it still counts.
        """
        self.check_registry(session.registry.registry)
        if resolved.alias is None:
            again, judgement = self.judge(session, Reference(resolved.model, ByManifest(resolved.digest)))
            if again.version != resolved.version:
                raise UntrustedError(f"{resolved.model}:{resolved.version} is called version {again.version} now")
            judgement.check()
            return
        register = load_alias(session, resolved.model, resolved.alias).state
        if register is None or register.target is None:
            raise not_set(resolved.model, resolved.alias)
        seen = self._remember(session, register)
        if (register.target.manifest, register.target.version) == (resolved.digest, resolved.version):
            self._judge_target(session, register, register.target, seen)[1].check()
            return
        head = load_existing_head(session, resolved.model)
        self.check_registry(head.registry)
        row = select_row(session, head, ByVersion(resolved.version))
        if row.manifest != resolved.digest:
            raise UntrustedError(f"{resolved.model}:{resolved.version} has another manifest in the head")
        decisions = load_decisions(session, load_dossier(session, head, row))
        judgement = self._with_memory(self._judge(session, resolved, decisions), register, seen, resolved)
        _with_state(judgement, row.state).check()

    def check_base(self, session: Session, head: Head, row: Row, base: ResolvedVersion) -> None:
        """Raise unless the base of an accepted adapter may be used: it is of this registry, and nobody refused it.

        The accepted manifest names it by digest, which stands for approvals of its own.
        """
        self.check_registry(head.registry)
        if base.digest in self.trust.denied_manifests:
            raise UntrustedError(f"the base {base.model}:{base.version} is denied by the trust file")
        if row.state in NEVER_SERVED:
            raise UntrustedError(f"the base {base.model}:{base.version} is {row.state}")
        decisions = load_decisions(session, load_dossier(session, head, row))
        if len(decisions) > MOST_DECISIONS:  # a refusal among them would not be looked for
            raise UntrustedError(f"the base {base.model}:{base.version} carries {len(decisions):,} decisions")
        judgement = self._judge(session, base, decisions)
        if judgement.refused_by:
            raise UntrustedError(f"the base {base.model}:{base.version} was refused by {judgement.refused_by[0]}")

    def _remember(self, session: Session, register: AliasRegister) -> SeenGeneration:
        self.check_registry(register.registry)
        model, alias = register.model, register.alias
        history = iter_records_back(session, alias_register(session, model, alias), register.trail)
        return self.memory.advance(register.registry, model, alias, register.trail, history)

    def _judge_target(
        self, session: Session, register: AliasRegister, target: AliasTarget, seen: SeenGeneration
    ) -> tuple[ResolvedVersion, Judgement]:
        model, alias = register.model, register.alias
        resolved = ResolvedVersion(
            model=model,
            version=target.version,
            digest=target.manifest,
            state=target.state,
            placement=target.placement,
            manifest=load_manifest(session, model, target.manifest),
            alias=alias,
            generation=register.generation,
        )
        judgement = self._judge(session, resolved, carried_decisions(register))
        return resolved, _with_state(self._with_memory(judgement, register, seen, resolved), target.state)

    def _with_memory(
        self, judgement: Judgement, register: AliasRegister, seen: SeenGeneration, resolved: ResolvedVersion
    ) -> Judgement:
        """Refuse also what was refused here before, and what the alias's own records call rejected."""
        if judgement.refused_by:
            self.memory.remember_refusal(register.registry, register.model, register.alias, resolved.digest)
        elif resolved.digest in seen.refused:
            judgement = _refused(judgement, "it was refused here before, and the bucket hides by whom")
        for record in register.trail.records:
            if is_told_refusal(record) and record.target == str(resolved.version):
                told = f"the alias was told at generation {record.generation} that it was rejected, and hides by whom"
                judgement = _refused(judgement, told)
        if resolved.version in seen.refused_versions:  # also where that record has left the register
            judgement = _refused(judgement, "the alias was told before that it was rejected, and hides by whom")
        return judgement

    def _judge(self, session: Session, resolved: ResolvedVersion, decisions: Sequence[Decision]) -> Judgement:
        subject = JudgedVersion(
            registry=self.trust.registry,  # checked before
            model=resolved.model,
            version=resolved.version,
            manifest=resolved.digest,
            created_by=resolved.manifest.created_by,
            alias=resolved.alias,
            generation=resolved.generation,
        )
        return judge(self.trust, subject, decisions, now=session.clock.now())

    def check_registry(self, registry: str) -> None:
        """Raise `RejectedError` for a registry that the trust file is not about."""
        if registry != self.trust.registry:
            raise UntrustedError(
                f"this is registry {registry[:64]!a}, and the trust file is about {self.trust.registry}",
                advice="open the registry that the trust file was written for",
            )


def open_strict_mode(path: Path) -> StrictMode:
    """Return strict mode by a trust file; raise `RejectedError` for one that cannot be relied on."""
    return StrictMode(load_trust_file(path), GenerationMemory(default_state_folder(os.environ)))


def carried_decisions(register: AliasRegister) -> tuple[Decision, ...]:
    """Return the decisions that an alias carries; raise `CorruptError` for what is none: it may hide a refusal."""
    what = keys.alias(register.model, register.alias)
    return tuple(decision_of(read_review(Fields(item, what=what)), what=what) for item in register.reviews)


def _with_state(judgement: Judgement, state: State) -> Judgement:
    return _refused(judgement, f"it is {state}") if state in NEVER_SERVED else judgement


def _refused(judgement: Judgement, reason: str) -> Judgement:
    """Return the judgement as a refusal; a reason that it has already says more."""
    return judgement if judgement.refusal else replace(judgement, refusal=reason)
