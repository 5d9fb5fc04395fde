"""Backend → store: threads that ask, one snapshot at a time handed to the UI thread.

    sampler   every second: statistics of all containers and the host
    lister    on an event, and every five seconds anyway: lists (events are hints, state is truth)
    watcher   blocks on the event stream, wakes the lister

Nothing here blocks the UI: results arrive by a relay, which never waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from app.console.relay import Relay
from app.console.store import EVENTS_KEPT, Store
from app.console.track import KEPT_S
from core.backend import Backend
from core.errors import Cancelled, EngineError, NotFound
from core.model.progress import CancelToken
from core.model.stats import StatsSample

RESYNC_S = 5.0
SAMPLE_S = 1.0
_SETTLE_S = 0.05
"""Events come in bursts (create, start …); one listing answers them all."""

EVENTS_PAST_S = 86_400
"""How far back events are looked for when the console opens."""
_HISTORIES_AT_ONCE = 200

_KINDS = ("containers", "images", "volumes", "networks")
_EVENTFUL = {"container": "containers", "image": "images", "volume": "volumes", "network": "networks"}


class Feed:
    """The pumps of one console; started once, stopped once."""

    def __init__(self, backend: Backend, store: Store, relay: Relay) -> None:
        self._backend = backend
        self._store = store
        self._relay = relay
        self._stopping = CancelToken()
        self._wanted: set[str] = set(_KINDS)
        self._wake = threading.Condition()
        self._threads = [
            threading.Thread(target=work, name=f"feed-{work.__name__.strip('_')}", daemon=True)
            for work in (self._sampler, self._lister, self._watcher)
        ]

    def start(self) -> None:
        """Begin to pump."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the pumps to end; returns at once, they are daemons."""
        self._stopping.cancel()
        with self._wake:
            self._wake.notify_all()

    def refresh(self, *kinds: str) -> None:
        """List kinds again right now; called after actions, from any thread."""
        with self._wake:
            self._wanted.update(kinds or _KINDS)
            self._wake.notify_all()

    # ------------------------------------------------------------------ threads

    def _sampler(self) -> None:
        while not self._stopping.is_cancelled:
            began = time.monotonic()
            try:
                samples, host = self._backend.containers.stats(), self._backend.system.host()
            except EngineError as error:
                self._hand(self._store.put_trouble, error.message)
            else:
                self._hand(self._store.put_stats, samples, host)
            self._stopping.wait(max(0.1, SAMPLE_S - (time.monotonic() - began)))

    def _lister(self) -> None:
        known: set[str] = set()
        running: set[str] = set()
        try:
            info = self._backend.system.info()
        except EngineError as error:
            self._hand(self._store.put_trouble, error.message)
        else:
            self._hand(setattr, self._store, "info", info)
        while not self._stopping.is_cancelled:
            with self._wake:
                wanted, self._wanted = self._wanted, set()
            try:
                if "containers" in wanted:
                    containers = self._backend.containers.list(all=True)
                    self._hand(self._store.put_containers, containers)
                    running = {one.id for one in containers if one.status in ("running", "paused")}
                if "images" in wanted:
                    self._hand(self._store.put_images, self._backend.images.list())
                if "volumes" in wanted:
                    self._hand(self._store.put_volumes, self._backend.volumes.list(sizes=False))
                if "networks" in wanted:
                    self._hand(self._store.put_networks, self._backend.networks.list())
                since_ns = time.time_ns() - KEPT_S * 1_000_000_000
                fresh = sorted(running - known)
                for first in range(0, len(fresh), _HISTORIES_AT_ONCE):
                    keys = fresh[first : first + _HISTORIES_AT_ONCE]
                    self._hand(self._store.put_histories, self._histories(keys, since_ns))
                known = running
            except EngineError as error:
                self._hand(self._store.put_trouble, error.message)
            with self._wake:
                if not self._wanted and not self._wake.wait(RESYNC_S):
                    self._wanted = set(_KINDS)
            if self._stopping.wait(_SETTLE_S):
                return

    def _histories(self, keys: Sequence[str], since_ns: int) -> dict[str, Sequence[StatsSample]]:
        histories = {}
        for key in keys:
            try:
                histories[key] = self._backend.containers.stats_history(key, since_ns)
            except NotFound:
                continue  # removed since it was listed
        return histories

    def _watcher(self) -> None:
        system = self._backend.system
        seen_ns = time.time_ns() - EVENTS_PAST_S * 1_000_000_000
        while not self._stopping.is_cancelled:
            try:
                now_ns = time.time_ns()
                past = list(system.events(since_ns=seen_ns, until_ns=now_ns - 1, cancel=self._stopping))
                seen_ns = now_ns
                self._hand(self._store.put_events, past[-EVENTS_KEPT:])
                for event in system.events(since_ns=now_ns, cancel=self._stopping):
                    seen_ns = max(seen_ns, event.at_ns + 1)
                    self._hand(self._store.put_events, (event,))
                    kind = _EVENTFUL.get(event.kind)
                    if kind is not None and not event.action.startswith("exec_"):
                        self.refresh(kind, *(("images", "volumes") if kind == "containers" else ()))
            except Cancelled:
                return
            except EngineError:
                pass  # the five-second resync goes on; try the stream again then
            if self._stopping.wait(RESYNC_S):
                return

    def _hand(self, receive: Callable[..., Any], *values: Any) -> None:
        if not self._relay(receive, *values):
            self._stopping.cancel()
