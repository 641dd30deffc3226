"""The program and its files, as the tests of the command line have them."""

from cli.conftest import _own_settings, files, program

__all__ = ["_own_settings", "files", "program"]
