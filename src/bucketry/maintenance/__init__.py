"""How is a registry kept sound? Each tool first says what it found or would do, and only then acts."""
