"""From objects to files: chunks received, verified, journalled, reused and repaired."""
