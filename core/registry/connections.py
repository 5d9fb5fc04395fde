"""urllib3's connections, watched: which stage a request has come to, whom it has reached, and how to break it off."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, Protocol


class Watcher(Protocol):
    """Who watches."""

    answer_s: float
    """How long the head of an answer may take, however slowly it drips."""
    piece_s: float
    """How long one piece of a body may take to be sent."""

    def began(self, stage: str) -> None:
        """A thread's request has come to its next stage."""

    def connected(self, sock: socket.socket, *, is_direct: bool) -> socket.socket:
        """A connection stands: a twin of its socket, by which another thread can break it off. Raises: Refused."""

    def disconnected(self, twin: socket.socket) -> None:
        """A connection is closed."""


class Refused(OSError):
    """A connection that must not be used."""


def pool_classes(watcher: Watcher, *, is_direct: bool) -> dict[str, Any]:
    """urllib3's pools by scheme, of connections that tell a watcher about themselves."""
    from http.client import HTTPException

    from urllib3 import exceptions
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Watched:
        _twin: socket.socket | None = None
        _is_late = False

        def _new_conn(self) -> socket.socket:
            watcher.began("connecting for")
            sock: socket.socket = super()._new_conn()  # type: ignore[misc]
            try:
                self._twin = watcher.connected(sock, is_direct=is_direct)
            except OSError:
                sock.close()
                raise
            watcher.began("TLS handshake for" if isinstance(self, HTTPSConnection) else "waiting for the answer to")
            return sock

        def connect(self) -> None:
            super().connect()  # type: ignore[misc]
            watcher.began("waiting for the answer to")
            # from here on it is the time for one piece to be sent, not for the connection to be made
            self.sock.settimeout(watcher.piece_s)  # type: ignore[attr-defined]

        def getresponse(self) -> Any:
            # the socket's own timeout begins anew with each byte of a head that drips
            late = threading.Timer(watcher.answer_s, self._give_up)
            late.daemon = True
            late.start()
            try:
                answer = super().getresponse()  # type: ignore[misc]
                if self._is_late:  # a head that breaks off is read as one that ends
                    raise TimeoutError
                return answer
            except (OSError, exceptions.HTTPError, HTTPException):
                if self._is_late:
                    raise TimeoutError from None
                raise
            finally:
                late.cancel()

        def _give_up(self) -> None:
            self._is_late = True
            with contextlib.suppress(OSError):
                if self._twin is not None:
                    self._twin.shutdown(socket.SHUT_RDWR)

        def close(self) -> None:
            twin, self._twin = self._twin, None
            if twin is not None:
                watcher.disconnected(twin)
            super().close()  # type: ignore[misc]

    class WatchedHTTP(Watched, HTTPConnection):
        pass

    class WatchedHTTPS(Watched, HTTPSConnection):
        pass

    class HTTPPool(HTTPConnectionPool):
        ConnectionCls = WatchedHTTP

    class HTTPSPool(HTTPSConnectionPool):
        ConnectionCls = WatchedHTTPS

    return {"http": HTTPPool, "https": HTTPSPool}
