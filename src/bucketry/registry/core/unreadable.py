"""Which failures are about one object alone, so that a list names it as damaged and goes on with the others?

A store that is away, an interrupt and a bug are none of them: then nothing is known of anything, and that is raised.
Nobody decides on what cannot be read: commits, promotions and gates raise what a list only tells.
"""

from __future__ import annotations

from bucketry.errors import BucketryError, CorruptError, DeniedError, RejectedError, UnsupportedError, UsageError

UNREADABLE = (CorruptError, DeniedError, RejectedError, UnsupportedError, UsageError)
"""What is said of one object that cannot be read or understood: other bytes than its name says, another format, a link,
a lack of rights, an archive, a value or a key that no parser accepts."""


def reason_of(error: BucketryError) -> str:
    """Return what is wrong with an object as a part of a sentence."""
    return error.message.rstrip(".")
