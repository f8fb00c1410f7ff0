"""The command line's client of a running gateway.

It talks to the gateway by URL, like any other client, and knows nothing of the gateway's inside:
nothing here imports topics, publishing, dashboard or Django.
"""
