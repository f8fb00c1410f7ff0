"""Clients that leave and come back with their last id, over and over, while publishers publish (contract §6)."""
