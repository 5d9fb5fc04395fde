"""All that the console knows: the only mutable model, changed on the UI thread alone.

The feed puts snapshots in; widgets read and are told by topic when to read again. Containers
are kept by id, newest first, as the engine lists them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from app.console.jobs import Job
from app.console.problems import Problem, find_problems
from app.console.track import HostTrack, Track
from core.backend import EngineInfo
from core.model.container import Container
from core.model.events import Event
from core.model.image import Image
from core.model.network import Network
from core.model.stats import HostSample, StatsSample
from core.model.volume import Volume

Topic = str
"""containers, images, volumes, networks, events, stats, jobs, notice or problems."""
EVENTS_KEPT = 5_000


class Listener(Protocol):
    """Who is told of changes, as long as it is part of a running console."""

    @property
    def is_attached(self) -> bool:
        """Whether it still belongs to the app."""


class Notice(msgspec.Struct, frozen=True):
    """A sentence about something that has just been done or has just failed."""

    text: str
    kind: str
    at_monotonic: float


class KeptEvent(msgspec.Struct, frozen=True):
    """An event and its place in the order in which events have come to us."""

    number: int
    event: Event


class Store:
    """Snapshots by kind, tracks by container, and who wants to hear of changes."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.images: list[Image] = []
        self.volumes: list[Volume] = []
        self.networks: list[Network] = []
        self.info: EngineInfo | None = None
        self.events: deque[KeptEvent] = deque(maxlen=EVENTS_KEPT)
        """What has happened, oldest first."""
        self.tracks: dict[str, Track] = {}
        self.host = HostTrack()
        self.problems: list[Problem] = []
        self.loaded: set[Topic] = set()
        """Kinds that have been listed at least once: an empty list is only then a fact."""
        self.heard_ns = 0
        """When the engine last answered."""
        self.trouble = ""
        """Why it does not answer, if so."""
        self.notice: Notice | None = None
        self.jobs: list[Job] = []
        """Long work, the newest first, until it has ended and been seen."""
        self._dismissed: set[tuple[str, str, int]] = set()
        self._listeners: dict[Listener, tuple[frozenset[Topic], Callable[[], None]]] = {}

    # ------------------------------------------------------------------ listening

    def listen(self, owner: Listener, topics: set[Topic], callback: Callable[[], None]) -> None:
        """Call back after each change of a topic, until forgotten."""
        self._listeners[owner] = (frozenset(topics), callback)

    def forget(self, owner: Listener) -> None:
        """Stop calling back."""
        self._listeners.pop(owner, None)

    def tell(self, *topics: Topic) -> None:
        """Say that topics have changed."""
        changed = set(topics)
        for owner, (wanted, callback) in list(self._listeners.items()):
            if wanted & changed and owner.is_attached:
                callback()

    # ------------------------------------------------------------------ the feed's side

    def put_containers(self, containers: Sequence[Container]) -> None:
        """Replace the list."""
        self.containers = {container.id: container for container in containers}
        for gone in self.tracks.keys() - self.containers.keys():
            del self.tracks[gone]
        self._answered("containers")
        self._refresh_problems()
        self.tell("containers", "problems")

    def put_images(self, images: Sequence[Image]) -> None:
        """Replace the list."""
        self.images = list(images)
        self._answered("images")
        self.tell("images")

    def put_volumes(self, volumes: Sequence[Volume]) -> None:
        """Replace the list."""
        self.volumes = list(volumes)
        self._answered("volumes")
        self.tell("volumes")

    def put_networks(self, networks: Sequence[Network]) -> None:
        """Replace the list."""
        self.networks = list(networks)
        self._answered("networks")
        self.tell("networks")

    def put_stats(self, samples: Mapping[str, StatsSample], host: HostSample) -> None:
        """Take one second's samples of everything."""
        for key, sample in samples.items():
            track = self.tracks.get(key)
            if track is None:
                track = self.tracks[key] = Track()
            track.add(sample)
        self.host.add(host)
        self._answered("stats")
        self._refresh_problems()
        self.tell("stats", "problems")

    def put_histories(self, histories: Mapping[str, Sequence[StatsSample]]) -> None:
        """Take what was recorded of containers before we looked."""
        for key, history in histories.items():
            self.tracks.setdefault(key, Track()).seed(history)
        self.tell("stats")

    def put_events(self, events: Sequence[Event]) -> None:
        """Take what has happened, in order."""
        number = self.events[-1].number if self.events else 0
        self.events.extend(KeptEvent(at, event) for at, event in enumerate(events, number + 1))
        self.loaded.add("events")
        self.tell("events")

    def put_trouble(self, text: str) -> None:
        """The engine does not answer; what is shown stays, marked as old."""
        self.trouble = text
        self.tell("stats", "problems")

    def _answered(self, topic: Topic) -> None:
        self.loaded.add(topic)
        self.heard_ns = time.time_ns()
        self.trouble = ""

    # ------------------------------------------------------------------ the actions' side

    def put_notice(self, text: str, kind: str = "ok") -> None:
        """Say one sentence to the person: kind ok, warn or fail."""
        self.notice = Notice(text=text, kind=kind, at_monotonic=time.monotonic())
        self.tell("notice")

    def add_job(self, job: Job) -> None:
        """Long work has begun."""
        self.jobs.insert(0, job)
        self.tell("jobs")

    def end_job(self, job: Job) -> None:
        """Long work is over, one way or another."""
        self.jobs = [other for other in self.jobs if other is not job]
        self.tell("jobs")

    # ------------------------------------------------------------------ questions

    def container(self, key: str) -> Container | None:
        """One container by full id."""
        return self.containers.get(key)

    def image(self, key: str) -> Image | None:
        """One image by full id."""
        return next((image for image in self.images if image.id == key), None)

    def image_named(self, key: str) -> Image | None:
        """One image by full id or by one of its names."""
        return next((image for image in self.images if key == image.id or key in image.tags), None)

    def network(self, key: str) -> Network | None:
        """One network by full id."""
        return next((network for network in self.networks if network.id == key), None)

    def counts(self) -> dict[Topic, int]:
        """How many of each there are."""
        return {
            "containers": len(self.containers),
            "images": len(self.images),
            "volumes": len(self.volumes),
            "networks": len(self.networks),
        }

    def dismiss(self, problem: Problem) -> None:
        """Show a problem no more."""
        self._dismissed.add(problem.key)
        self._refresh_problems()
        self.tell("problems")

    def _refresh_problems(self) -> None:
        found = find_problems(self.containers.values(), self.tracks, time.time_ns())
        self.problems = [problem for problem in found if problem.key not in self._dismissed]
