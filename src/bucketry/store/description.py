"""What a bucket says of how it is set up, and what a caller may do in it.

Beside the contract, since not every store can be asked: a store that can has these methods, and whoever asks any other
says that it is not known here.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from bucketry.frozen import frozen

Right = Literal["list", "read", "write", "delete"]
RIGHTS: tuple[Right, ...] = ("list", "read", "write", "delete")


@frozen
class NotKnown:
    """There is no answer; `reason` says why, as the rest of a sentence that names the question."""

    reason: str


NOT_KNOWN_HERE = NotKnown("not known here: this kind of store cannot be asked")


@frozen
class LifecycleRule:
    """What a store does by itself below a prefix of the bucket, and after how many days; None: it does not.

    `expires_days` is 0 for a date. `moves_to` are the storage classes that current objects are moved to.
    """

    name: str
    prefix: str
    expires_days: int | None = None
    expires_older_days: int | None = None
    aborts_uploads_days: int | None = None
    moves_to: tuple[str, ...] = ()


@frozen
class BucketDescription:
    """How a bucket is set up. `prefix` is where in it the store is, empty or ending in a slash.

    `versioning` is "enabled", "suspended" or "off". `lifecycle` are the rules that are switched on and not for tagged
    objects, which ours never are. `object_lock`, `encryption` and `policy` (its JSON) are empty where there is none.
    """

    bucket: str
    prefix: str
    versioning: str | NotKnown
    lifecycle: tuple[LifecycleRule, ...] | NotKnown
    object_lock: str | NotKnown
    encryption: str | NotKnown
    policy: str | NotKnown


@runtime_checkable
class DescribesBucket(Protocol):
    """A store whose bucket can be asked how it is set up."""

    def describe_bucket(self) -> BucketDescription:
        """Ask for all settings; what is refused or not understood is `NotKnown`, each by itself."""
        ...


@runtime_checkable
class TellsRights(Protocol):
    """A store that finds out what its caller may do, without changing anything."""

    def may(self, right: Right, prefix: str) -> bool | NotKnown:
        """Return whether the caller has a right below a prefix, or for one key if it does not end in a slash."""
        ...
