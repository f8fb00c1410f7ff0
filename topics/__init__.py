"""Subscriptions: the shared nouns (topic, event, connection) and everything that a connection needs."""
