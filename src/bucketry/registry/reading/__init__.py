"""How a version is read: pulled whole, compared, or one tensor or file of it."""
