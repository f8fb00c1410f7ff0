"""What stands behind Pushpin: it answers every request with "hold this open for the topic"."""

import asyncio
import sys
from urllib.parse import parse_qs, urlsplit


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        target = urlsplit(head.split(b" ", 2)[1].decode())
        if target.path == "/health":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        else:
            topic = parse_qs(target.query)["topic"][0]
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ngrip-hold: stream\r\n"
                b"grip-channel: %b\r\ncontent-length: 0\r\n\r\n" % topic.encode()
            )


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


asyncio.run(main())
