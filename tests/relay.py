"""A port of loopback in front of a gateway, for tests of what happens when the network does not hold."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Relay:
    """A port that stays while gateways come and go behind it, and that can fall silent.

    It is closed at first: connecting to it is refused until `listen`.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.target = ""
        self.silent = False
        self.requests: list[bytes] = []
        """The first bytes of each connection."""
        self._open: list[socket.socket] = []

    def listen(self, target: str) -> None:
        """Forward to the gateway at the address *target* from now on."""
        self.target = target
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                address = urlsplit(self.target)
                try:
                    server = socket.create_connection((address.hostname or "", address.port or 0))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                self.requests.append(b"")
                number = len(self.requests) - 1
                threading.Thread(target=self._pump, args=(client, server, number), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, number: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if number is not None:
                    self.requests[number] += data
                if not self.silent:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End every connection without a word of the gateway."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.cut()
        for end in self._open:
            end.close()
