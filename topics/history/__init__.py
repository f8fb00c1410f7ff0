"""What was published, kept for clients that come back (contract §6)."""
