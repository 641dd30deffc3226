"""HTTP/1.1 for bytes: connections that threads share, and replies that end where they say."""
