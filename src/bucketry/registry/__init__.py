"""The service layer: joins schema, store and transfer. Every face calls it and holds no rule of its own."""
