"""Which place does a registry's URL or path mean, however it is written?"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from bucketry.errors import UsageError
from bucketry.frozen import frozen


@frozen
class BucketLocation:
    """A prefix (without slashes around it) in an S3 bucket."""

    bucket: str
    prefix: str


@frozen
class FolderLocation:
    """A folder of this machine, with links followed, so that two ways to write it are equal."""

    path: Path


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
            return _folder(_path_of(parts))
        case "":
            return _folder(where)
        case scheme:
            raise UsageError(
                f"a registry cannot be at a {scheme!a} URL",
                advice="use s3://bucket/prefix, file:///folder or a folder's path",
            )


def _bucket(parts: SplitResult) -> BucketLocation:
    if not parts.netloc or "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the S3 URL is not of the form s3://bucket/prefix")
    return BucketLocation(parts.netloc, parts.path.strip("/"))


def _path_of(parts: SplitResult) -> str:
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise UsageError(
            "a file URL names a folder of this machine",
            advice="write file:///absolute/path, with %3F for ? and %23 for #",
        )
    return unquote(parts.path)


def _folder(path: str) -> FolderLocation:
    if not path or "\0" in path:
        raise UsageError("the path of the registry is empty or not a path")
    return FolderLocation(Path(os.path.realpath(Path(path).expanduser())))
