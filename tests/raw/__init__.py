"""HTTP/1.1, server-sent events and WebSocket over bare sockets: the bytes that a client library hides."""
