"""What a scan of a version's files found."""

from __future__ import annotations

from bucketry.frozen import frozen

MOST_IMPORTS_NAMED = 3


@frozen
class ScannedFile:
    """One file: the imports that are dangerous, and those that nobody knows to be harmless.

    `fault` says why the file could not be looked at to its end, which counts as unsafe. `holds_code` tells pickles and
    archives, which were scanned, from what is harmless whoever loads it.
    """

    path: str
    dangerous: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    fault: str = ""
    holds_code: bool = False

    def fault_if(self, *, strict: bool) -> str:
        """Return why the file is unsafe, in words; empty if it is not."""
        if self.dangerous:
            return f"imports {_named(self.dangerous)}"
        if self.fault:
            return self.fault
        return f"imports {_named(self.suspicious)}, not known to be harmless" if strict and self.suspicious else ""


@frozen
class ScanReport:
    """What a scan found in each file. `fault` says why nothing could be scanned at all."""

    files: tuple[ScannedFile, ...] = ()
    fault: str = ""

    @property
    def counts(self) -> str:
        """How many files were scanned, how many are harmless by their content, and how many cannot be scanned."""
        blind = sum(bool(file.fault) for file in self.files)
        scanned = sum(file.holds_code and not file.fault for file in self.files)
        return f"{scanned} scanned, {len(self.files) - scanned - blind} harmless by content, {blind} not scannable"


def _named(imports: tuple[str, ...]) -> str:
    more = f" and {len(imports) - MOST_IMPORTS_NAMED:,} more" if len(imports) > MOST_IMPORTS_NAMED else ""
    return ", ".join(imports[:MOST_IMPORTS_NAMED]) + more
