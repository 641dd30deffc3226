"""What the command line says where a version comes although somebody refused it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.registry.review.refusals import load_refusals, refused_text

if TYPE_CHECKING:
    from bucketry.cli.call import Call
    from bucketry.registry.core.resolved import ResolvedVersion
    from bucketry.registry.core.session import Session


def note_refusals(call: Call, session: Session, resolved: ResolvedVersion) -> None:
    """Say who refused a version that is handed out all the same, when and why; nothing is read where nobody did."""
    if refused := refused_text(resolved, load_refusals(session, resolved)):
        call.messages.note(f"this is {refused}")
