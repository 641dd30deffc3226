"""What every service function stands on: the session, the commit, the registers, rows, and how a reference resolves."""
