"""Spells the head of a request, cheaply where thousands of them differ in two places only.

Of many small files each request names another object and another range. All else of its head, and of what its
signature is of, is the same for a second: it is made in the usual way with holes in those places, and cut there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from typing import TYPE_CHECKING

from bucketry.errors import UsageError
from bucketry.frozen import frozen
from bucketry.store.s3.signing import Unsigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bucketry.store.s3.signing import Keys, RequestSigner, Signable
    from bucketry.store.s3.target import Target

SHA256_OF_NOTHING = hashlib.sha256().hexdigest()
# No path, range or signature has a brace.
PATH_HOLE, RANGE_HOLE, SIGNATURE_HOLE = "{bucketry:path}", "{bucketry:range}", "{bucketry:signature}"

_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@frozen
class _Pattern:
    """The heads of one second and one kind of keys, cut where they differ."""

    stamp: str
    keys: Keys
    signable: Signable
    canonical: tuple[str, str, str] = field(repr=False)
    head: tuple[str, str, str, str] = field(repr=False)


class RangeHeads:
    """Spells the heads of requests for ranges of objects; safe for many threads."""

    def __init__(self, target: Target, signer: RequestSigner) -> None:
        self._target = target
        self._signer = signer
        self._kept: _Pattern | None = None

    def head(self, path: str, range_: str, keys: Keys) -> bytes:
        """Return the signed head of a GET of a path, as it goes over the wire, and of a range as its header says it."""
        stamp, kept = self._signer.stamp(), self._kept
        if kept is None or kept.stamp != stamp or kept.keys != keys:
            kept = self._kept = self._cut(stamp, keys)
        before, between, after = kept.canonical
        signature = kept.signable.signature(f"{before}{path}{between}{range_}{after}")
        first, second, third, last = kept.head
        return f"{first}{path}{second}{range_}{third}{signature}{last}".encode("latin-1")

    def _cut(self, stamp: str, keys: Keys) -> _Pattern:
        headers = {**self._target.headers, "Host": self._target.host, "Range": RANGE_HOLE}
        signable = self._signer.prepare(Unsigned("GET", PATH_HOLE, "", headers, SHA256_OF_NOTHING), keys, stamp)
        signed = {**signable.headers, "Authorization": signable.authorization(SIGNATURE_HOLE)}
        head = spell_head("GET", PATH_HOLE, signed, where=self._target.base_url)
        before, _, rest = signable.canonical.partition(PATH_HOLE)
        between, _, after = rest.partition(RANGE_HOLE)
        first, _, rest = head.partition(PATH_HOLE)
        second, _, rest = rest.partition(RANGE_HOLE)
        third, _, last = rest.partition(SIGNATURE_HOLE)
        return _Pattern(stamp, keys, signable, (before, between, after), (first, second, third, last))


def spell_head(method: str, place: str, headers: Mapping[str, str], *, where: str) -> str:
    """Return the head of a signed request; raise `UsageError` for a header that would break it."""
    lines = [f"{method} {place} HTTP/1.1"]
    # The last one is not signed: something on the way may change it.
    for name, value in {**headers, "Accept-Encoding": "identity"}.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise UsageError(f"{where}: the header {name} would contain a control character")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""])
