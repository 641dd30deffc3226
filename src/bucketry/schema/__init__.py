"""What a registry holds, and which changes are legal. Pure: no I/O, no clock, no randomness."""
