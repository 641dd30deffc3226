"""How lines, tables and texts get onto a terminal, and which bytes are sent for it."""
