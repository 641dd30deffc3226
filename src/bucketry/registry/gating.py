"""Which gates hold for a version?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bucketry.registry.session import Session
    from bucketry.schema.gates import GateResult
    from bucketry.schema.head import Head, Row
    from bucketry.schema.names import AliasName


def check_version_gates(
    session: Session, head: Head, row: Row, *, alias: AliasName | None
) -> tuple[GateResult, ...]:
    """Return each gate's verdict."""
    del session, head, row, alias
    return ()
