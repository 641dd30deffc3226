"""Changes what is said about a model or a version after it was published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.registry.core.commit import Change
from bucketry.registry.core.notes import reason_detail
from bucketry.registry.core.registers import commit_head, existing_head
from bucketry.registry.core.rows import load_dossier, load_row, replace_dossier, replace_row
from bucketry.registry.review.standings import load_standing
from bucketry.schema.documents.audit import AuditAction
from bucketry.schema.documents.head import LARGEST_DESCRIPTION_BYTES, LARGEST_LABELS_BYTES, LARGEST_ROW_LABELS_BYTES
from bucketry.schema.documents.states import check_retired, state_after_retire
from bucketry.schema.judging.decisions import derive_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.registry.core.immutable import Immutable
    from bucketry.registry.core.session import Session
    from bucketry.schema.documents.head import Head, Row
    from bucketry.schema.documents.states import State
    from bucketry.schema.names import ModelName


@frozen
class LabelEdit:
    """Labels to set, and labels to take away; all others stay. Raises `UsageError` for what cannot be a label."""

    put: Mapping[str, str]
    drop: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the labels that are set; those that are there stay, whatever they are."""
        from bucketry.schema.arguments import plain_labels  # noqa: PLC0415 - a reader needs none

        plain_labels(self.put)

    def apply(self, labels: Mapping[str, str], *, largest_bytes: int) -> dict[str, str]:
        """Return the labels after the edit."""
        from bucketry.schema.arguments import check_labels_size, plain_labels  # noqa: PLC0415 - a reader needs none

        kept = {name: value for name, value in labels.items() if name not in self.drop}
        changed = kept | plain_labels(self.put)
        check_labels_size(changed, largest_bytes=largest_bytes)
        return changed


def retire(session: Session, model: ModelName, version: int, *, reason: str = "") -> Row:
    """Forbid new use of a version and keep its bytes; aliases that name it go on serving."""
    return _change_state(
        session, model, version, AuditAction.RETIRE, lambda _, row: state_after_retire(version, row.state), reason
    )


def unretire(session: Session, model: ModelName, version: int, *, reason: str = "") -> Row:
    """Allow use of a retired version again; its state is then what its reviews say."""

    def decided(head: Head, row: Row) -> State:
        check_retired(version, row.state)
        standing = load_standing(session, head, row)
        return derive_state(standing.decisions, standing.approvals)

    return _change_state(session, model, version, AuditAction.UNRETIRE, decided, reason)


def edit_model(
    session: Session, model: ModelName, *, description: str | None = None, labels: LabelEdit | None = None
) -> Head:
    """Change a model's description and labels; raise `UsageError` for texts that are too long."""
    if description is not None:
        from bucketry.schema.arguments import plain_text  # noqa: PLC0415 - a reader needs none

        description = plain_text(description, "description")
        if len(description.encode()) > LARGEST_DESCRIPTION_BYTES:
            raise UsageError(f"the description is longer than {LARGEST_DESCRIPTION_BYTES:,} bytes")

    def change(head: Head) -> tuple[Head, tuple[Immutable, ...]]:
        new = head if description is None else replace(head, description=description)
        if labels is not None:
            new = replace(new, labels=labels.apply(head.labels, largest_bytes=LARGEST_LABELS_BYTES))
        return new, ()

    return _commit_change(session, model, AuditAction.EDIT, "", "", change)


def edit_version(
    session: Session,
    model: ModelName,
    version: int,
    *,
    notes: str | None = None,
    labels: LabelEdit | None = None,
) -> Row:
    """Change a version's notes and labels; what was published stays as it is in the manifest."""
    if notes is not None:
        from bucketry.schema.arguments import plain_text  # noqa: PLC0415 - a reader needs none

        notes = plain_text(notes, "notes")

    def change(head: Head) -> tuple[Head, tuple[Immutable, ...]]:
        new: Head = head
        objects: tuple[Immutable, ...] = ()
        row = load_row(session, head, version)
        if labels is not None:
            row = replace(row, labels=labels.apply(row.labels, largest_bytes=LARGEST_ROW_LABELS_BYTES))
            new, objects = replace_row(session, new, row)
        if notes is not None:
            dossier = replace(load_dossier(session, head, row), notes=notes)
            new, more = replace_dossier(session, new, row, dossier)
            objects = (*objects, *more)
        return new, objects

    head = _commit_change(session, model, AuditAction.EDIT, str(version), "", change)
    return load_row(session, head, version)


def _change_state(
    session: Session,
    model: ModelName,
    version: int,
    action: AuditAction,
    rule: Callable[[Head, Row], State],
    reason: str,
) -> Row:
    def change(head: Head) -> tuple[Head, tuple[Immutable, ...]]:
        row = load_row(session, head, version)
        return replace_row(session, head, replace(row, state=rule(head, row)))

    return load_row(session, _commit_change(session, model, action, str(version), reason, change), version)


def _commit_change(
    session: Session,
    model: ModelName,
    action: AuditAction,
    target: str,
    reason: str,
    change: Callable[[Head], tuple[Head, tuple[Immutable, ...]]],
) -> Head:
    session.check_writable()
    detail, documents = reason_detail(session, model, reason)

    def edit(old: Head | None) -> Change[Head]:
        head = existing_head(session, model, old)
        new, objects = change(head)
        return Change(new, action, target=target, detail=detail, objects=(*documents, *objects))

    return commit_head(session, model, edit).state
