"""Brings the local index up to the bucket before it answers, or says how old it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.errors import UnavailableError
from bucketry.frozen import frozen
from bucketry.index.refresh import refresh_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bucketry.index.refresh import RefreshOutcome
    from bucketry.index.store import Index
    from bucketry.registry.core.session import Session


@frozen
class IndexFreshness:
    """How fresh an index is: what its refresh did, or, without one, when it was last fresh, and why it is not now."""

    refreshed: RefreshOutcome | None
    as_of: datetime | None = None
    reason: str = ""


def freshen(
    index: Index,
    session: Session,
    *,
    details: bool,
    offline: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> IndexFreshness:
    """Refresh the index; where the bucket cannot be reached, or `offline` forbids it, what is known must do.

    Raises `UnavailableError` if nothing is known yet.
    """
    reason = "it was asked to stay offline"
    if not offline:
        try:
            return IndexFreshness(refresh_index(index, session, details=details, progress=progress))
        except UnavailableError as error:
            if index.refreshed_at() is None:
                raise
            reason = error.message
    as_of = index.refreshed_at()
    if as_of is None:
        raise UnavailableError(
            f"nothing is known of {session.store.name} on this machine yet", advice="run it once without --offline"
        )
    return IndexFreshness(None, as_of, reason)
