"""Benchmarks: what an event, a connection and a refusal cost, beside the machine's limit and beside peers."""
