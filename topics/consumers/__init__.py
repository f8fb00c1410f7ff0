"""The Channels consumers: thin shells between a server and `topics.runtime`."""
