"""Threads of one operation: they work, the thread that called reports, and all of them stop together.

        workers ── tell(progress) ──▶ queue ──▶ wait(): report(progress), in the caller's thread
                ◀── stop ──────────── somebody cancels, or one of them fails

A worker that waits for a network is woken by whatever `wake` breaks off. One that can't be woken (a
name server that does not answer) is left to itself: it finds `stop` when it comes back.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Generic, TypeVar

from core.errors import Cancelled
from core.model.progress import CancelToken, Progress, Report

T = TypeVar("T")
_POLL_S = 0.1
_PATIENCE_S = 0.8
_TELL_S = 0.1


class Task(Generic[T]):
    """One piece of work, and what became of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: T | None = None
        self.error: BaseException | None = None
        self.is_done = threading.Event()

    def run(self) -> None:
        """In its thread; whatever happens is kept for who asked for it."""
        try:
            self._value = self._work()
        except BaseException as error:
            self.fail(error)
            raise
        self.is_done.set()

    def fail(self, error: BaseException) -> None:
        """It will not be done any more."""
        if not self.is_done.is_set():
            self.error = error
            self.is_done.set()

    @property
    def value(self) -> T:
        """What it came to; only of one that has been waited for."""
        return self._value  # type: ignore[return-value]


class Crew:
    """A context manager; leaving it early stops everybody.

    Args: wake: breaks off whatever workers may wait for.
    """

    def __init__(self, report: Report, cancel: CancelToken, wake: Callable[[], None]) -> None:
        self.stop = CancelToken()
        self._report = report
        self._cancel = cancel
        self._wake = wake
        self._told: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._last: dict[str, tuple[Progress, float]] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop.cancel()
            self._wake()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()) if error is not None else None)

    def start(self, work: Callable[[], T]) -> Task[T]:
        """Have something done in a thread of its own."""
        task: Task[T] = Task(work)

        def run() -> None:
            try:
                task.run()
            except BaseException:
                if not isinstance(task.error, Exception):
                    raise
            finally:
                self._told.put(None)

        thread = threading.Thread(target=run, daemon=True, name="transfer")
        self._threads.append(thread)
        thread.start()
        return task

    def start_in_lanes(self, works: Sequence[Callable[[], T]], lanes: int) -> list[Task[T]]:
        """Have several things done, so many at once, begun in their order; none is begun after one has failed."""
        tasks = [Task(work) for work in works]
        waiting = collections.deque(tasks)

        def lane() -> None:
            while True:
                try:
                    task = waiting.popleft()
                except IndexError:
                    return
                try:
                    self.stop.check()
                    task.run()
                except BaseException as error:
                    task.fail(error)
                    while waiting:
                        with suppress(IndexError):
                            waiting.popleft().fail(error)
                    raise

        for _ in range(min(lanes, len(tasks))):
            self.start(lane)
        return tasks

    def join(self, task: Task[T]) -> T:
        """In a worker: wait for what another one does; what it came to. Raises: what that one raised, Cancelled."""
        while not task.is_done.wait(_POLL_S):
            self.stop.check()
        if task.error is not None:
            raise task.error
        return task.value

    def tell(self, progress: Progress) -> None:
        """From any thread: how far something has come. Not each step of the same is passed on."""
        before, at = self._last.get(progress.part, (None, 0.0))
        now = time.monotonic()
        if before is not None and before.status == progress.status:
            is_whole = progress.done_bytes == progress.total_bytes
            if progress == before or (not is_whole and now - at < _TELL_S):
                return
        self._last[progress.part] = progress, now
        self._told.put(progress)

    def wait(self, *tasks: Task[T]) -> list[T]:
        """Report until they are all done; what they came to.

        Raises: Cancelled: within a second. What the first that failed has raised.
        """
        while True:
            done = [task.is_done.is_set() for task in tasks]
            for task in tasks:
                if task.is_done.is_set() and task.error is not None:
                    raise task.error
            if all(done):
                self._pass_on_rest()
                return [task.value for task in tasks]
            if self._cancel.is_cancelled:
                raise Cancelled("cancelled")
            try:
                progress = self._told.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if progress is not None:
                self._report(progress)

    def _pass_on_rest(self) -> None:
        while True:
            try:
                progress = self._told.get_nowait()
            except queue.Empty:
                return
            if progress is not None:
                self._report(progress)

    @contextmanager
    def turn(self, slots: threading.Semaphore, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold one of the slots that all operations share; `on_wait` is called once if none is free."""
        if not slots.acquire(blocking=False):
            on_wait()
            while not slots.acquire(timeout=_POLL_S):
                self.stop.check()
        try:
            self.stop.check()
            yield
        finally:
            slots.release()
