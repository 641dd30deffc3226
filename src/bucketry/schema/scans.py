"""What did a scan of a version's pickles find?"""

from __future__ import annotations

from bucketry.frozen import frozen

MOST_IMPORTS_NAMED = 3


@frozen
class ScannedFile:
    """One file with pickles in it: the imports that are dangerous, and those that nobody knows to be harmless.

    `fault` says why the file could not be scanned to its end, which counts as unsafe.
    """

    path: str
    dangerous: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    fault: str = ""

    def fault_if(self, *, strict: bool) -> str:
        """Return why the file is unsafe, in words; empty if it is not."""
        if self.dangerous:
            return f"imports {_named(self.dangerous)}"
        if self.fault:
            return self.fault
        return f"imports {_named(self.suspicious)}, not known to be harmless" if strict and self.suspicious else ""


@frozen
class ScanReport:
    """What a scanner found in each file that has pickles. `fault` says why nothing could be scanned at all."""

    scanner: str
    files: tuple[ScannedFile, ...] = ()
    fault: str = ""


def _named(imports: tuple[str, ...]) -> str:
    more = f" and {len(imports) - MOST_IMPORTS_NAMED:,} more" if len(imports) > MOST_IMPORTS_NAMED else ""
    return ", ".join(imports[:MOST_IMPORTS_NAMED]) + more
