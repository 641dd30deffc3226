"""Reads which place a registry's URL or path means, however it is written."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.user_folders import expand_user


@frozen
class BucketLocation:
    """A prefix (without slashes around it) in an S3 bucket."""

    bucket: str
    prefix: str


@frozen
class FolderLocation:
    """A folder of this machine, with links followed, so that two ways to write it are equal."""

    path: Path


_BUCKET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")

Location = BucketLocation | FolderLocation


def is_plain_word(where: str) -> bool:
    """Tell whether this is neither a URL nor plainly a path: the name of something that the configuration describes."""
    return "/" not in where and ":" not in where and "\0" not in where and where not in {"", ".", "..", "~"}


def parse_location(where: str) -> Location:
    """Return the place; raise `UsageError` for a URL of no known kind."""
    try:
        parts = urlsplit(where)
    except ValueError as error:
        raise UsageError(
            "the registry's URL is not a URL", advice="use s3://bucket/prefix or a folder's path"
        ) from error
    match parts.scheme:
        case "s3":
            return _bucket(parts)
        case "file":
            if parts.netloc not in {"", "localhost"} or parts.path[:1] != "/" or parts.query or parts.fragment:
                raise UsageError(
                    "a file URL names a folder of this machine",
                    advice="write file:///absolute/path, with %3F for ? and %23 for #",
                )
            return _folder(unquote(parts.path))
        case "":
            return _folder(where)
        case scheme:
            raise UsageError(
                f"a registry cannot be at a {scheme!a} URL",
                advice="use s3://bucket/prefix, file:///folder or a folder's path",
            )


def _bucket(parts: SplitResult) -> BucketLocation:
    if not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "the S3 URL is not of the form s3://bucket/prefix",
            advice="write no user, port, query or fragment into it; the endpoint is a setting of its own",
        )
    if not _BUCKET.fullmatch(parts.netloc) or ".." in parts.netloc:
        raise UsageError(
            f"{parts.netloc[:80]!a} is not a bucket's name", advice="use up to 255 letters, digits, '.', '_' and '-'"
        )
    prefix = parts.path.strip("/")
    dots = {"", ".", ".."}
    if prefix and not all(s not in dots and s.isprintable() and unquote(s) not in dots for s in prefix.split("/")):
        raise UsageError(
            f"the prefix {prefix[:80]!a} has a segment that is empty, '.', '..' or not printable",
            advice="write it plainly: proxies, servers and people disagree about what such a prefix means",
        )
    return BucketLocation(parts.netloc, prefix)


def _folder(path: str) -> FolderLocation:
    if not path or "\0" in path:
        raise UsageError("the path of the registry is empty or not a path")
    return FolderLocation(Path(os.path.realpath(expand_user(path))))
