"""The gateway's version, as nodes report it."""

VERSION = "0.1.0"
