"""History in a database, through Django's ORM. `store` is the adapter; the rest are its parts."""
