"""The command line: text for people, one JSON document for scripts, and an exit code for both."""
