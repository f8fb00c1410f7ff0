"""Publishing: admission on headers alone, and the one way in for every event."""
