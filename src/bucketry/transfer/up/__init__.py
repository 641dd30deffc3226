"""From files to objects: hashing ahead, pieces, and uploads that continue."""
