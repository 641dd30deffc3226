"""Which policy holds for a model?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bucketry.schema.policy import DEFAULT_POLICY, Policy

if TYPE_CHECKING:
    from bucketry.registry.session import Session
    from bucketry.schema.head import Head


def load_policy(session: Session, head: Head) -> Policy:
    """Return the policy."""
    del session, head
    return DEFAULT_POLICY
