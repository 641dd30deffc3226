"""The service layer: joins schema, store and transfer. Every face calls these functions and holds no rule of its own."""
