"""What keeps a registry sound. Each tool first says what it found or would do, and only then acts."""
