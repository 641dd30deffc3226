"""What an examination says of one thing: how it stands, and what to do about it."""

from __future__ import annotations

from typing import Literal

from bucketry.frozen import frozen

Grade = Literal["ok", "unknown", "warning", "failure"]


@frozen
class Observation:
    """One thing that was looked at. A failure endangers the registry; `unknown` says why it could not be looked at."""

    name: str
    grade: Grade
    message: str
    advice: str = ""
