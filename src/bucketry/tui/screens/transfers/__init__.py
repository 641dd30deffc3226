"""The screen of the transfers on this machine, and the log of the helper that does them."""
