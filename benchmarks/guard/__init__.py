"""The guard (`make bench-guard`): what a delivery, a publish and a connection cost in counts, not in time."""
