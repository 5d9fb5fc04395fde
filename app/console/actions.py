"""What a person wants → Backend calls in worker threads, and what became of it as a notice.

Short actions (stop, tag …) say how they ended; long ones (save, load, commit, starter) are jobs
with progress that can be cancelled. Errors of the engine become one sentence with its hint;
nothing is raised into the UI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from app.console.command_text import command_text
from app.console.feed import Feed
from app.console.image_actions import ImageActions
from app.console.image_work import perform
from app.console.jobs import Job
from app.console.relay import Relay
from app.console.store import Store
from core.backend import Backend
from core.errors import Cancelled, EngineError, wrapped
from core.model.container import Container, ContainerSpec
from core.model.display import safe_text
from core.model.network import EndpointWish, Network, NetworkSpec

_WORKERS = 12

Result = TypeVar("Result")


def sentence(error: EngineError) -> str:
    """An error as people read it: what, and what to do next."""
    text = safe_text(error.message)
    return f"{text}: {safe_text(error.hint)}" if error.hint else text


class Actions:
    """Everything the console can do to the engine."""

    def __init__(self, backend: Backend, store: Store, feed: Feed, relay: Relay) -> None:
        self.backend = backend
        self._store = store
        self._feed = feed
        self._hand = relay
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="action")
        self.images = ImageActions(self, store)

    def close(self) -> None:
        """Cancel what is running; never waits for it."""
        for job in self._store.jobs:
            job.cancel.cancel()
        self.images.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------ the ways to call

    def ask(
        self,
        question: Callable[[], Result],
        answered: Callable[[Result], None],
        failed: Callable[[EngineError], None] | None = None,
    ) -> None:
        """Ask the backend something in a worker; the answer comes back on the UI thread."""

        def work() -> None:
            try:
                answer = question()
            except EngineError as error:
                self._hand(failed or self._complain, error)
            except OSError as error:
                self._hand(failed or self._complain, wrapped(error, "reach"))
            else:
                self._hand(answered, answer)

        self._pool.submit(work)

    def do(self, work: Callable[[], Any], done: str, *kinds: str, then: Callable[[Any], None] | None = None) -> None:
        """A short action: `done` is said when it worked, and the kinds it touched are listed again."""

        def finished(answer: Any) -> None:
            self._store.put_notice(done)
            self._feed.refresh(*kinds)
            if then is not None:
                then(answer)

        def failed(error: EngineError) -> None:
            self._complain(error)
            self._feed.refresh(*kinds)

        self.ask(work, finished, failed)

    def long(
        self,
        title: str,
        command: str,
        work: Callable[[Job], Any],
        done: Callable[[Any], str],
        *kinds: str,
        then: Callable[[Any], None] | None = None,
        cancelled: str = "nothing was left behind",
    ) -> Job:
        """Long work in the background: shown as a job until it ends. `cancelled` says what a cancel leaves."""
        job = Job(title, command)
        self._store.add_job(job)

        def finished(answer: Any) -> None:
            job.outcome = done(answer)
            self._store.end_job(job)
            self._store.put_notice(job.outcome)
            self._feed.refresh(*kinds)
            if then is not None:
                then(answer)

        def failed(error: EngineError) -> None:
            if isinstance(error, Cancelled):
                job.outcome = f"{title}: cancelled, {cancelled}"
                self._store.end_job(job)
                self._store.put_notice(job.outcome, "warn")
            else:
                job.outcome = sentence(error)
                self._store.end_job(job)
                self._complain(error)
            self._feed.refresh(*kinds)

        self.ask(lambda: work(job), finished, failed)
        return job

    def mention(self, words: str) -> None:
        """Say a warning, from any thread."""
        self._hand(self._store.put_notice, words, "warn")

    def _complain(self, error: EngineError) -> None:
        self._store.put_notice(sentence(error), "fail")

    def perform(self, commands: Sequence[Sequence[str]], done: str, *kinds: str) -> None:
        """Run command lines one after the other, as a shell's `&&` does; what one complains about is said."""

        def work() -> None:
            for words in commands:
                perform(self.backend, words)

        self.do(work, done, *kinds)

    # ------------------------------------------------------------------ containers

    def start(self, containers: Sequence[Container]) -> None:
        """Start them."""
        self._each(containers, lambda key: self.backend.containers.start(key), "started")

    def stop(self, containers: Sequence[Container]) -> None:
        """Their stop signal, then SIGKILL after ten seconds."""
        self._store.put_notice(f"stopping {_names(containers)} …", "warn")
        self._each(containers, lambda key: self.backend.containers.stop(key), "stopped")

    def restart(self, containers: Sequence[Container]) -> None:
        """Stop, then start."""
        self._store.put_notice(f"restarting {_names(containers)} …", "warn")
        self._each(containers, lambda key: self.backend.containers.restart(key), "restarted")

    def kill(self, containers: Sequence[Container], signal: str = "KILL") -> None:
        """Send a signal."""
        self._each(containers, lambda key: self.backend.containers.kill(key, signal), "killed")

    def toggle_pause(self, containers: Sequence[Container]) -> None:
        """Freeze those that run, thaw those that are frozen."""
        for container in containers:
            if container.status == "paused":
                self._each([container], lambda key: self.backend.containers.unpause(key), "thawed")
            else:
                self._each([container], lambda key: self.backend.containers.pause(key), "paused")

    def remove(self, containers: Sequence[Container], *, force: bool, volumes: bool) -> None:
        """Remove them."""
        self._each(
            containers,
            lambda key: self.backend.containers.remove(key, force=force, volumes=volumes),
            "removed",
        )

    def rename(self, container: Container, name: str) -> None:
        """Give it another name."""
        self.do(
            lambda: self.backend.containers.rename(container.id, name),
            f"{safe_text(container.name)} is now {safe_text(name)}",
            "containers",
        )

    def run(self, spec: ContainerSpec, then: Callable[[str], None]) -> None:
        """Create and start; `then` gets the new container's id."""

        def work() -> str:
            created = self.backend.containers.create(spec)
            self.backend.containers.start(created.id)
            return created.id

        name = safe_text(spec.name or spec.image)
        self.do(work, f"{name} started", "containers", "volumes", "images", then=then)

    def _each(self, containers: Sequence[Container], act: Callable[[str], Any], done: str) -> None:
        def work() -> None:
            for container in containers:
                try:
                    act(container.id)
                except EngineError as error:  # asked by id, for its name may have moved on; told by name
                    error.message = error.message.replace(container.id, container.name)
                    raise

        self.do(work, f"{_names(containers)} {done}", "containers", "volumes")

    # ------------------------------------------------------------------ volumes

    def create_volume(
        self, name: str, options: dict[str, str] | None = None, labels: dict[str, str] | None = None
    ) -> None:
        """Make a volume."""
        self.do(
            lambda: self.backend.volumes.create(name, labels=labels or {}, options=options or {}),
            f"volume {safe_text(name) or 'made'} is there",
            "volumes",
        )

    def export_volume(self, name: str, path: Path) -> None:
        """Write a volume to a tar file; it appears whole or not at all."""

        def work(job: Job) -> None:
            part = path.with_name(path.name + ".part")
            try:
                with part.open("wb") as sink:
                    for piece in self.backend.volumes.export(name, job.report, job.cancel):
                        sink.write(piece)
                part.rename(path)
            except OSError as error:
                raise wrapped(error, "write", path) from error
            finally:
                part.unlink(missing_ok=True)

        self.long(
            f"export {safe_text(name[:24])}",
            command_text("volume", "export", "-o", str(path), name),
            work,
            lambda _none: f"exported to {safe_text(str(path))}",
        )

    def import_volume(self, name: str, path: Path) -> None:
        """Read a tar into a volume, which is made if it is not there, and goes again if that fails."""

        def work(job: Job) -> None:
            volumes = self.backend.volumes
            is_new = name not in {volume.name for volume in volumes.list()}
            try:
                with path.open("rb") as source:
                    volumes.create(name)
                    volumes.import_tar(name, source, job.report, job.cancel)
            except (EngineError, OSError) as error:
                if is_new:
                    volumes.remove(name, force=True)
                raise error if isinstance(error, EngineError) else wrapped(error, "read", path) from error

        self.long(
            f"import {safe_text(path.name)}",
            command_text("volume", "import", name, str(path)),
            work,
            lambda _none: f"imported into {safe_text(name)}",
            "volumes",
        )

    def remove_volumes(self, names: Sequence[str]) -> None:
        """Remove volumes that nothing uses."""

        def work() -> None:
            for name in names:
                self.backend.volumes.remove(name)

        self.do(work, f"removed {safe_text(', '.join(names))}", "volumes")

    # ------------------------------------------------------------------ networks

    def create_network(self, spec: NetworkSpec) -> None:
        """Make a network."""
        self.do(lambda: self.backend.networks.create(spec), f"network {safe_text(spec.name)} is there", "networks")

    def remove_networks(self, keys: Sequence[str]) -> None:
        """Remove networks that nobody runs on."""

        def work() -> None:
            for key in keys:
                self.backend.networks.remove(key)

        names = [network.name for network in self._store.networks if network.id in keys]
        self.do(work, f"removed {safe_text(', '.join(names))}", "networks")

    def connect(self, network: Network, container: str, wish: EndpointWish) -> None:
        """Put a container on a network."""
        self.do(
            lambda: self.backend.networks.connect(network.id, container, wish),
            f"{safe_text(container)} is on {safe_text(network.name)}",
            "networks",
            "containers",
        )

    def disconnect(self, network: Network, container: str, *, force: bool) -> None:
        """Take a container off a network."""
        self.do(
            lambda: self.backend.networks.disconnect(network.id, container, force=force),
            f"{safe_text(container)} is off {safe_text(network.name)}",
            "networks",
            "containers",
        )


def _names(containers: Sequence[Container]) -> str:
    names = [safe_text(container.name) for container in containers]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} containers"
