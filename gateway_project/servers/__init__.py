"""What we add to Daphne and uvicorn. Everything that knows a server's private parts lives here."""
