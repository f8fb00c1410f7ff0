"""Placement of several nodes, in one Redis. `placement` is the adapter; the rest are its parts."""
