"""Who is connected where. One protocol (`base`), one adapter a store (`memory`)."""
