"""Endpoints of three older services, whose clients find here what they know (docs/how-to/older-clients.md)."""
