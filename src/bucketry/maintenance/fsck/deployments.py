"""Is what lies among the receipts of instances a receipt?

Nothing relies on a receipt, so one that cannot be read only takes room.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bucketry.maintenance.fsck.reading import UNREADABLE, Unreadable, list_entries, look_for, reason_of
from bucketry.schema import keys
from bucketry.schema.documents.deployment import decode_deployment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bucketry.maintenance.findings import Findings
    from bucketry.registry.core.session import Session
    from bucketry.schema.names import ModelName
    from bucketry.store.contract import Store

BATCH = 1_000
"""How many receipts are read before their outcomes are reported."""


def check_deployments(session: Session, models: Sequence[ModelName] | None, findings: Findings) -> None:
    """Report every receipt of the given models, or of all, that does not decode."""
    prefixes = [keys.DEPLOYMENTS] if models is None else [keys.deployments(model) for model in models]
    for prefix in prefixes:
        names = [entry.key for entry in list_entries(session.store, prefix, findings)]
        for start in range(0, len(names), BATCH):
            some = names[start : start + BATCH]
            problems = session.map_in_parallel(partial(_find_problem, session.store), some)
            for key, problem in zip(some, problems, strict=True):
                if problem:
                    findings.garbage(key, f"This is no receipt of an instance: {problem}.")


def _find_problem(store: Store, key: str) -> str:
    try:
        found = look_for(store, key)
        if found is None:
            return ""  # an instance withdrew it since the listing
        if isinstance(found, Unreadable):
            return found.reason
        decode_deployment(found.body, key=key)
    except UNREADABLE as error:
        return reason_of(error)
    return ""
