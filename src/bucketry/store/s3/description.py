"""Asks an S3 bucket for its settings, and what the caller may do, by requests that change nothing.

Each right is tried by a request that can only be refused: for want of the right, or since what it is about is not
there. A read is of an object that nobody has; a write is the completion of an upload that was never begun, which needs
the same right as to put an object; a deletion is of nothing, and only tried where that leaves no delete marker.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from bucketry.errors import BucketryError, DeniedError, NotFoundError, UnavailableError, UnsupportedError
from bucketry.store.contract import ObjectNotFoundError, Part, PreconditionFailedError
from bucketry.store.description import BucketDescription, LifecycleRule, NotKnown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bucketry.store.contract import Store
    from bucketry.store.description import Right
    from bucketry.store.s3.connection import Operation
    from bucketry.store.s3.requests import Requests

T = TypeVar("T")

NO_SUCH_UPLOAD = "bucketry-doctor-asks-for-an-upload-that-nobody-began"
NO_SUCH_PART = "00000000000000000000000000000000"
ASKED_AT_ONCE = 5


def describe_bucket(requests: Requests, bucket: str, prefix: str) -> BucketDescription:
    """Ask for every setting, each by itself."""
    where = f"s3://{bucket}"

    def ask(operation: Operation, read: Callable[[Mapping[str, Any]], T], none: T) -> T | NotKnown:
        try:
            return read(requests.send(operation, where))
        except DeniedError:
            return NotKnown("not known: this caller may not ask")
        except NotFoundError as error:
            if isinstance(error, ObjectNotFoundError):
                return none
            raise
        except UnavailableError:
            raise
        except (BucketryError, LookupError, ValueError, TypeError, AttributeError):
            return NotKnown("not known here: this store does not understand the question")

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        versioning = pool.submit(ask, "get_bucket_versioning", _read_versioning, "off")
        lifecycle = pool.submit(ask, "get_bucket_lifecycle_configuration", _read_lifecycle, ())
        object_lock = pool.submit(ask, "get_object_lock_configuration", _read_object_lock, "")
        encryption = pool.submit(ask, "get_bucket_encryption", _read_encryption, "")
        policy = pool.submit(ask, "get_bucket_policy", lambda reply: str(reply["Policy"]), "")
    return BucketDescription(
        bucket=bucket,
        prefix=prefix,
        versioning=versioning.result(),
        lifecycle=lifecycle.result(),
        object_lock=object_lock.result(),
        encryption=encryption.result(),
        policy=policy.result(),
    )


def find_right(store: Store, look_below: Callable[[str], None], right: Right, prefix: str) -> bool | NotKnown:
    """Return whether the caller has a right below a prefix, or for one key; `NotKnown` where nothing can tell.

    `look_below` lists what is below a prefix, as little as possible of it. A deletion leaves a delete marker in a
    bucket that keeps versions: nobody asks for that right there.
    """
    key = f"{prefix}bucketry-doctor-{uuid.uuid4()}" if prefix.endswith("/") else prefix
    if right == "delete" and key == prefix:
        return NotKnown("not tried on what may be there")
    asks: Mapping[Right, Callable[[], object]] = {
        "list": lambda: look_below(prefix),
        "read": lambda: store.get(key),
        "write": lambda: store.complete_upload(key, NO_SUCH_UPLOAD, [Part(1, NO_SUCH_PART, 1)]),
        "delete": lambda: store.delete(key),
    }
    try:
        asks[right]()
    except ObjectNotFoundError:
        return True
    except DeniedError:
        is_certain = right != "read" or find_right(store, look_below, "list", prefix) is True
        return False if is_certain else NotKnown("not known: without the right to list, all that is absent is refused")
    except (UnavailableError, UnsupportedError, PreconditionFailedError) as error:  # one question is not all of them
        return NotKnown(f"not known: {error.message}")
    return NotKnown("not known: the store completes uploads that were never begun") if right == "write" else True


def _read_versioning(reply: Mapping[str, Any]) -> str:
    return str(reply.get("Status") or "off").lower()


def _read_lifecycle(reply: Mapping[str, Any]) -> tuple[LifecycleRule, ...]:
    return tuple(
        _lifecycle_rule(rule) for rule in reply.get("Rules", ()) if rule["Status"] == "Enabled" and not _is_tagged(rule)
    )


def _is_tagged(rule: Mapping[str, Any]) -> bool:
    narrowed = rule.get("Filter") or {}
    return any(each.get("Tag") or each.get("Tags") for each in (narrowed, narrowed.get("And") or {}))


def _lifecycle_rule(rule: Mapping[str, Any]) -> LifecycleRule:
    narrowed = rule.get("Filter") or {}
    both = narrowed.get("And") or {}
    expiration = rule.get("Expiration") or {}
    expires = int(expiration.get("Days", 0)) if "Days" in expiration or "Date" in expiration else None
    return LifecycleRule(
        name=str(rule.get("ID", "")),
        prefix=str(both.get("Prefix") or narrowed.get("Prefix") or rule.get("Prefix") or ""),
        expires_days=expires,
        expires_older_days=_days(rule, "NoncurrentVersionExpiration", "NoncurrentDays"),
        aborts_uploads_days=_days(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        moves_to=tuple(str(each["StorageClass"]) for each in rule.get("Transitions") or ()),
    )


def _days(rule: Mapping[str, Any], name: str, unit: str) -> int | None:
    found = (rule.get(name) or {}).get(unit)
    return None if found is None else int(found)


def _read_object_lock(reply: Mapping[str, Any]) -> str:
    found = reply["ObjectLockConfiguration"]
    if found.get("ObjectLockEnabled") != "Enabled":
        return ""
    default = (found.get("Rule") or {}).get("DefaultRetention") or {}
    if not default:
        return "enabled, without a retention by default"
    years = int(default.get("Years") or 0)
    length = f"{years} years" if years else f"{int(default['Days'])} days"
    return f"{str(default.get('Mode', '')).lower()} for {length}"


def _read_encryption(reply: Mapping[str, Any]) -> str:
    rules = reply["ServerSideEncryptionConfiguration"].get("Rules") or ()
    return ", ".join(str(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]) for rule in rules)
