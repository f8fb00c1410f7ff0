"""Broadcasts: events for every connection (docs/explanation/broadcast.md says why they are so)."""

TOPIC = "gateway.broadcast"
"""What every connection holds where broadcasts are on; a topic like any other beside that."""
