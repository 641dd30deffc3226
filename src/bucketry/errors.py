"""What can go wrong, split by what the caller does next.

Every public exception is a `BucketryError`. They are split by what the caller does next, and each carries the
exit code that the command line returns for it. A message says what happened and where; `advice` says what to do
now. Neither ever contains a credential.
"""

from typing import ClassVar


class BucketryError(Exception):
    """The root of every error that Bucketry raises on purpose."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "bug"
    usual_advice: ClassVar[str] = ""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        if advice:
            self.add_note(f"do this: {advice}")  # Python shows it below the message, where nobody catches the error

    @property
    def remedy(self) -> str:
        """What to do now, also where nobody gave an advice for this very case."""
        return self.advice or self.usual_advice


class RefusedVersionWarning(UserWarning):
    """A version is handed out although somebody rejected or revoked it: it was asked for by its number."""


class UsageError(BucketryError):
    """The request itself is malformed: a wrong name, path, option or setting."""

    exit_code = 2
    kind = "usage"


class NotFoundError(BucketryError):
    """The registry, model, version, alias, file or object does not exist."""

    exit_code = 3
    kind = "not_found"


class RejectedError(BucketryError):
    """A rule of the registry forbids the change; repeating it will not help."""

    exit_code = 4
    kind = "rejected"


class ContendedError(BucketryError):
    """Others kept winning the race for the same register until the deadline; try again."""

    exit_code = 5
    kind = "contended"


class UnavailableError(BucketryError):
    """The store, the network or the local disk did not serve the request; try again later.

    `may_pass` says whether waiting can help; `retry_after_seconds` is how long the store asked to wait, if it did.
    """

    exit_code = 6
    kind = "unavailable"
    may_pass: bool = True
    retry_after_seconds: float | None = None


class CommitUnknownError(UnavailableError):
    """Whether a commit happened could not be found out before the deadline.

    `transaction` is the id to look for in the register's audit records. Nothing was cleaned up.
    """

    def __init__(self, message: str, *, transaction: str, advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.transaction = transaction


class DeniedError(BucketryError):
    """The store refuses these credentials, or the file system these permissions."""

    exit_code = 7
    kind = "denied"


class CorruptError(BucketryError):
    """Stored bytes are not what the registry says they are."""

    exit_code = 8
    kind = "corrupt"
    usual_advice = (
        "run `bucketry fsck`, which names all that is damaged;"
        " restore the object from a mirror or the bucket's versions"
    )


class UnsupportedError(BucketryError):
    """This store, format or platform cannot do what is needed."""

    exit_code = 9
    kind = "unsupported"


class NewerFormatError(UnsupportedError):
    """A document is written in a format of a newer program: nothing is wrong with it, and an older one is no remedy."""


UNREADABLE = (CorruptError, DeniedError, RejectedError, UnsupportedError, UsageError)
"""What is said of one object that cannot be read or understood: other bytes than its name says, another format, a link,
a lack of rights, an archive, a value or a key that no parser accepts. A list names it as damaged and goes on with the
others; who decides anything raises it. A store that is away and a bug are none of them: then nothing is known."""


def reason_of(error: BucketryError) -> str:
    """Return what is wrong with an object as a part of a sentence."""
    return error.message.rstrip(".")
