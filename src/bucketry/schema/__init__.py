"""What does a registry hold, and which changes are legal? Pure: no I/O, no clock, no randomness."""
