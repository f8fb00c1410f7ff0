"""Exit code 0 when the gateway in this container answers 200 at the path given: `healthcheck.py /health`.

It runs every few seconds beside the gateway, so it imports little; and an image without a shell has no curl.
"""

import os
import socket
import sys

SECONDS = 4.0


def main() -> int:
    """Ask 127.0.0.1 at the port `PORT` (8080); 0 is healthy, 1 is not."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/health"
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ.get("PORT") or 8080)), timeout=SECONDS) as asked:
            asked.settimeout(SECONDS)
            asked.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            answer = b""
            while piece := asked.recv(4096):
                answer += piece
    except (OSError, ValueError) as error:
        print(error)
        return 1
    print(answer.rpartition(b"\r\n")[2].decode(errors="replace"))
    return 0 if answer.startswith(b"HTTP/1.1 200 ") else 1


if __name__ == "__main__":
    sys.exit(main())
