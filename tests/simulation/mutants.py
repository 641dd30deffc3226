"""Which parts of the protocol can be taken away, so that the simulation must notice?"""

# ruff: noqa: SLF001 - a mutant changes what nobody else may touch

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bucketry.errors import UnavailableError
from bucketry.maintenance.gc import collection as gc_collection
from bucketry.maintenance.gc import marks
from bucketry.maintenance.gc import model as gc_model
from bucketry.maintenance.mirror import carry, cut, mirror
from bucketry.registry.core import commit, registers
from bucketry.registry.core.commit import Change
from bucketry.registry.core.registers import commit_head
from bucketry.registry.core.rows import load_dossier, load_row, replace_row
from bucketry.registry.publishing import registration
from bucketry.registry.review import reviewing
from bucketry.registry.serving import aliases
from bucketry.registry.versions import deletion, evaluate, model_deletion, pins, retention
from bucketry.schema.documents.alias import LastMove
from bucketry.schema.documents.audit import AuditAction, Trail
from bucketry.schema.documents.dossier import Dossier
from bucketry.schema.documents.reviews import Action
from bucketry.store.contract import IfAbsent, PreconditionFailedError, Unconditional

if TYPE_CHECKING:
    import pytest

    from bucketry.schema.documents.alias import AliasRegister

Mutate = Callable[["pytest.MonkeyPatch"], None]


def without_transaction_id(patch: pytest.MonkeyPatch) -> None:
    """Nobody recognises a commit of their own."""
    patch.setattr(Trail, "find", lambda *_: None)


def with_new_transaction_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """Each attempt of one write carries another id."""
    prepare = commit._Attempt.prepare

    def renewed(self: Any, *arguments: Any) -> Any:
        object.__setattr__(self, "transaction", self.clock.new_transaction())
        return prepare(self, *arguments)

    def send(self: Any, base: Any, whole: Any) -> Any:
        """Send, and on any doubt make a new attempt."""
        try:
            self.store.put(whole.key, whole.body, base.condition)
        except (PreconditionFailedError, UnavailableError):
            return commit.load_current(self.store, self.register)

    patch.setattr(commit._Attempt, "prepare", renewed)
    patch.setattr(commit._Attempt, "send", send)


def without_if_match(patch: pytest.MonkeyPatch) -> None:
    """Registers are written whatever is there."""
    patch.setattr(commit.Current, "condition", property(lambda _: Unconditional()))


def without_reading_back(patch: pytest.MonkeyPatch) -> None:
    """Every doubtful reply counts as a lost race, whoever won it."""

    def send(self: Any, base: Any, whole: Any) -> Any:
        try:
            self.store.put(whole.key, whole.body, base.condition)
        except (PreconditionFailedError, UnavailableError):
            return commit.load_current(self.store, self.register)
        return None

    patch.setattr(commit._Attempt, "send", send)


def without_sealed_records(patch: pytest.MonkeyPatch) -> None:
    """Whoever was away for more records than a register holds believes to have lost."""
    patch.setattr(commit._Attempt, "_sealed_records", lambda *_: [])


def giving_up_for_a_new_state(patch: pytest.MonkeyPatch) -> None:
    """A write that is still undecided is abandoned for a new attempt with other bytes."""
    send = commit._Attempt.send

    def once(self: Any, base: Any, whole: Any) -> Any:
        try:
            self.store.put(whole.key, whole.body, base.condition)
        except UnavailableError:
            object.__setattr__(self, "transaction", self.clock.new_transaction())
            return base
        except PreconditionFailedError:
            return send(self, base, whole)
        return None

    patch.setattr(commit._Attempt, "send", once)


def without_placement_check(patch: pytest.MonkeyPatch) -> None:
    """A row may place its bytes under any epoch."""
    patch.setattr(registration, "_check_places", lambda *_: None)


def with_head_read_before_the_alias(patch: pytest.MonkeyPatch) -> None:
    """A promoter reads the head, and then the alias."""

    def read(session: Any, model: Any, alias: Any) -> Any:
        known = registers.load_head(session, model)
        return registers.load_alias(session, model, alias), known

    patch.setattr(aliases, "_read_alias_then_head", read)


def with_the_head_that_was_read_first(patch: pytest.MonkeyPatch) -> None:
    """A promoter decides each further attempt on the head that it read for the first."""
    load = registers.load_head
    seen: dict[int, Any] = {}

    def first(session: Any, model: Any) -> Any:
        seen[id(session)] = (session, load(session, model))  # the session is kept, so that no other has its id
        return seen[id(session)][1]

    patch.setattr(aliases, "load_head", first)
    patch.setattr(aliases, "load_existing_head", lambda session, _: seen[id(session)][1].state)


def without_naming_the_alias_first(patch: pytest.MonkeyPatch) -> None:
    """A promoter never tells the head of a new alias."""
    patch.setattr(aliases, "_name_alias", lambda *arguments: arguments[-1].state)


def without_pins(patch: pytest.MonkeyPatch) -> None:
    """A version made from another does not keep it."""
    patch.setattr(registration, "_pin_in_other_model", lambda *_: None)


def without_idempotency(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for the idempotency key."""
    patch.setattr(registration, "find_row_by_key", lambda *_: None)


def without_immutable_writes(patch: pytest.MonkeyPatch) -> None:
    """A failed write of an immutable object is taken for done."""

    def careless(store: Any, item: Any, **_: Any) -> None:
        try:
            store.put(item.key, item.body, IfAbsent())
        except (PreconditionFailedError, UnavailableError):
            return

    patch.setattr(commit, "put_immutable", careless)
    patch.setattr(registration, "put_immutable", careless)


def without_checking_the_pin_again(patch: pytest.MonkeyPatch) -> None:
    """A child's publisher pins its base once, and not on each attempt."""
    pin = registration._pin_in_other_model
    done: set[int] = set()

    def once(session: Any, parent: Any, child: Any, epoch: int) -> None:
        if id(session) not in done:
            done.add(id(session))
            pin(session, parent, child, epoch)

    patch.setattr(registration, "_pin_in_other_model", once)


def with_pins_dropped_unfenced(patch: pytest.MonkeyPatch) -> None:
    """A pin is dropped as soon as no child is seen."""
    patch.setattr(pins, "_fence", lambda session, pin: registers.load_existing_head(session, pin.model))


def with_pins_that_block_nothing(patch: pytest.MonkeyPatch) -> None:
    """A base is deleted whatever is made from it."""
    patch.setattr(deletion, "release_pins", lambda *_: None)
    patch.setattr(deletion, "check_deletable", load_row)


def with_a_deletion_that_walks_no_alias(patch: pytest.MonkeyPatch) -> None:
    """A deletion goes from `deleting` to `deleted` at once."""
    patch.setattr(deletion, "_walk", lambda *_: None)


def with_a_deletion_that_touches_nothing(patch: pytest.MonkeyPatch) -> None:
    """A deletion looks at the aliases, and does not write to those that name something else."""

    def look(session: Any, model: Any, version: int) -> Any:
        for alias in registers.load_existing_head(session, model).aliases:
            state = registers.load_alias(session, model, alias).state
            if state is not None and state.target is not None and state.target.version == version:
                return alias
        return None

    patch.setattr(deletion, "_walk", look)


def with_a_deletion_of_any_generation(patch: pytest.MonkeyPatch) -> None:
    """Whoever finishes a deletion, or takes it back, does not ask whether it is still the same one."""

    def settle(session: Any, model: Any, version: int, mark: Any, settled: Any) -> None:
        def edit(head: Any) -> Any:
            row = replace(settled(load_row(session, head, version), mark), deletion=None)
            changed, objects = replace_row(session, head, row)
            return Change(changed, AuditAction.DELETE, target=str(version), objects=objects)

        commit_head(session, model, edit)

    patch.setattr(deletion, "_settle", settle)


def with_a_refusal_that_tells_nobody(patch: pytest.MonkeyPatch) -> None:
    """A refusal is acknowledged once it is in the head."""
    patch.setattr(reviewing, "_tell_aliases", lambda *_: ())


def with_a_refusal_that_touches_nothing(patch: pytest.MonkeyPatch) -> None:
    """A refusal is told to the aliases that name the version, and the others are left alone."""
    tell = reviewing._tell_alias

    def tell_less(session: Any, model: Any, version: int, alias: Any, _: Action) -> bool:
        return tell(session, model, version, alias, Action.APPROVE)

    patch.setattr(reviewing, "_tell_alias", tell_less)


def with_a_refusal_told_to_the_names_seen_first(patch: pytest.MonkeyPatch) -> None:
    """A refusal walks the aliases that the head named when the decision was prepared."""
    load, tell = registers.load_head, reviewing._tell_aliases
    seen: dict[int, Any] = {}

    def first(session: Any, model: Any) -> Any:
        found = load(session, model)
        seen.setdefault(id(session), (session, found.state))  # the session is kept, so that no other has its id
        return found

    def tell_those(session: Any, head: Any, *decided: Any) -> Any:
        _, known = seen.get(id(session), (session, head))
        return tell(session, replace(head, aliases=known.aliases), *decided)

    patch.setattr(reviewing, "load_head", first)
    patch.setattr(reviewing, "_tell_aliases", tell_those)


def with_an_undo_of_what_was_seen_first(patch: pytest.MonkeyPatch) -> None:
    """An undo takes back the move that it saw when it began, whoever moved the alias since."""
    find = aliases._last_standing
    seen: dict[tuple[int, Any], Any] = {}

    def find_once(session: Any, register: Any) -> Any:
        key = (id(session), register.alias)
        if key not in seen:
            seen[key] = (session, find(session, register))  # the session is kept, so that no other has its id
        return seen[key][1]

    patch.setattr(aliases, "_last_standing", find_once)


def with_every_record_as_a_move(patch: pytest.MonkeyPatch) -> None:
    """An alias was moved by whoever touched it last."""

    def with_trail(register: AliasRegister, trail: Trail) -> AliasRegister:
        newest = trail.records[-1]
        moved = LastMove(newest.generation, newest.at, newest.actor, newest.action, None)
        return replace(register, trail=trail, moved=moved)

    patch.setattr(registers, "_alias_with_trail", with_trail)


def with_a_model_given_up_whatever_it_has(patch: pytest.MonkeyPatch) -> None:
    """A model is marked as deleted although somebody published to it since its versions were looked at."""
    patch.setattr(model_deletion, "mark_deleted", lambda session, model, _: _mark(session, model))


def _mark(session: Any, model: Any) -> None:
    def edit(head: Any) -> Any:
        return Change(replace(head, deleted=True), AuditAction.DELETE_MODEL)

    commit_head(session, model, edit)


def without_asking_for_approvals(patch: pytest.MonkeyPatch) -> None:
    """A protected alias names whatever it is told to."""
    patch.setattr(aliases, "check_approved", lambda *_: None)


def without_comparing_the_evidence(patch: pytest.MonkeyPatch) -> None:
    """An approval counts whatever evidence it was prepared on."""
    check = reviewing._check

    def check_less(session: Any, head: Any, standing: Any, decision: Any, **how: Any) -> None:
        there = tuple(cited.sha256 for cited in load_dossier(session, head, standing.row).evidence)
        check(session, head, standing, replace(decision, statement=replace(decision.statement, evidence=there)), **how)

    patch.setattr(reviewing, "_check", check_less)


def with_evidence_added_again(patch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether an evaluation is there already."""
    patch.setattr(evaluate, "is_repeated", lambda *_: False)


def with_bytes_before_the_head(patch: pytest.MonkeyPatch) -> None:
    """A first publish makes no empty head before it writes."""

    patch.setattr(registration, "load_or_begin_head", registers.load_head)


def with_a_collection_that_raises_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """A collection frees what its head does not mark, under whichever epoch that lies."""

    def pretend(session: Any, _: Any, model: Any) -> Any:
        head = registers.load_existing_head(session, model)
        return replace(head, epoch=head.epoch + 1)

    patch.setattr(gc_model, "_raise_epoch", pretend)


def with_a_collection_that_marks_once(patch: pytest.MonkeyPatch) -> None:
    """A collection frees what it did not mark before it raised the epoch."""
    load = marks.load_marks
    seen: dict[tuple[int, Any], Any] = {}

    def load_once(session: Any, head: Any) -> Any:
        key = (id(session), head.model)
        if key not in seen:
            seen[key] = (session, load(session, head))  # the session is kept, so that no other has its id
        return seen[key][1]

    patch.setattr(gc_model, "load_marks", load_once)


def with_a_collection_without_grace(patch: pytest.MonkeyPatch) -> None:
    """A collection frees at once what nobody needs."""
    patch.setattr(gc_collection, "_oldest", lambda *_: gc_collection.ALL_AGES)


def with_a_collection_without_the_grace_of_deletions(patch: pytest.MonkeyPatch) -> None:
    """The grace counts from the moment at which a blob was written, whenever its version was deleted."""
    patch.setattr(gc_model, "_deleted_since", lambda *_: frozenset())


def with_a_collection_that_asks_for_no_pin(patch: pytest.MonkeyPatch) -> None:
    """A collection frees the bytes of a deleted version though others are made from it."""
    patch.setattr(gc_model, "load_dossier", lambda _session, _head, row: Dossier(row.manifest))


def with_retention_that_decides_once(patch: pytest.MonkeyPatch) -> None:
    """What a plan lets go is deleted, whatever became the newest version since."""
    patch.setattr(retention, "_checking", lambda *_: lambda *_: None)


def with_a_replica_that_takes_any_generation(patch: pytest.MonkeyPatch) -> None:
    """A mirror replaces a register of the replica whatever is there."""

    def careless(_: Any, target: Any, item: Any, __: Any) -> Any:
        return cut.Settled(target.put(item.key, item.body, Unconditional()), was_written=True)

    patch.setattr(mirror, "settle", careless)


def with_bases_whenever_they_come(patch: pytest.MonkeyPatch) -> None:
    """A mirror brings models one by one, whatever they are made from."""
    patch.setattr(mirror._Mirror, "_bring_kin", lambda *_: True)


def with_registers_before_the_files(patch: pytest.MonkeyPatch) -> None:
    """A mirror replaces a register of the replica, and then copies the files that it names."""
    settle_all, copy = mirror._Mirror._settle_all, carry.Carrier.copy_pending

    def settle_first(self: Any, plans: Any) -> None:
        settle_all(self, plans)
        copy(self.carrier)

    patch.setattr(mirror._Mirror, "_settle_all", settle_first)
    patch.setattr(carry.Carrier, "copy_pending", lambda _: None)


MUTANTS: dict[str, tuple[Mutate, str]] = {
    "without transaction id": (without_transaction_id, ""),
    "new transaction for each attempt": (with_new_transaction_for_each_attempt, ""),
    "without If-Match": (without_if_match, ""),
    "without reading back": (without_reading_back, "mixed"),
    "without sealed records": (without_sealed_records, "storm"),
    "giving up for a new state": (giving_up_for_a_new_state, ""),
    "without placement check": (without_placement_check, "collect"),
    "head read before the alias": (with_head_read_before_the_alias, "delete"),
    "the head that was read first": (with_the_head_that_was_read_first, "delete"),
    "without naming the alias first": (without_naming_the_alias_first, ""),
    "without pins": (without_pins, "children"),
    "the pin is not checked again": (without_checking_the_pin_again, "children"),
    "pins that block nothing": (with_pins_that_block_nothing, "children"),
    "a deletion walks no alias": (with_a_deletion_that_walks_no_alias, "delete"),
    "a deletion touches nothing": (with_a_deletion_that_touches_nothing, "delete"),
    "a refusal tells nobody": (with_a_refusal_that_tells_nobody, "review"),
    "a refusal touches nothing": (with_a_refusal_that_touches_nothing, "refuse"),
    "a refusal is told to the names seen first": (with_a_refusal_told_to_the_names_seen_first, "refuse"),
    "an undo of what was seen first": (with_an_undo_of_what_was_seen_first, "aliases"),
    "every record is a move": (with_every_record_as_a_move, "refuse"),
    "a model is given up whatever it has": (with_a_model_given_up_whatever_it_has, "leave"),
    "nobody asks for approvals": (without_asking_for_approvals, "review"),
    "nobody compares the evidence": (without_comparing_the_evidence, "evidence"),
    "evidence is added again": (with_evidence_added_again, "evidence"),
    "without idempotency": (without_idempotency, ""),
    "careless immutable writes": (without_immutable_writes, ""),
    "a collection raises no epoch": (with_a_collection_that_raises_no_epoch, "collect"),
    "a collection marks once": (with_a_collection_that_marks_once, "collect"),
    "a collection knows no grace": (with_a_collection_without_grace, "grace"),
    "the grace does not count from a deletion": (with_a_collection_without_the_grace_of_deletions, "grace"),
    "a collection asks for no pin": (with_a_collection_that_asks_for_no_pin, "careless"),
    "retention decides once": (with_retention_that_decides_once, "retain"),
    "bytes come before the head": (with_bytes_before_the_head, "publish"),
    "a replica takes any generation": (with_a_replica_that_takes_any_generation, "mirror"),
    "bases come whenever they come": (with_bases_whenever_they_come, "mirror"),
    "registers come before the files": (with_registers_before_the_files, "mirror"),
}
"""Each with the scene in which it must be noticed; empty for any."""
