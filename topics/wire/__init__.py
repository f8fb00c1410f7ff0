"""Bytes in and out, pure: no Django, no Channels, no sockets."""
