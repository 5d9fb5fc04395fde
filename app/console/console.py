"""The Textual app: places as modes, what every place can ask for, theme and keymap."""

from __future__ import annotations

import shlex
import time
from typing import ClassVar

from textual.binding import Binding
from textual.screen import Screen

from app.console import frame, keymap
from app.console.actions import Actions
from app.console.dialogs.command_line import CommandLine
from app.console.dialogs.command_output import CommandOutput
from app.console.dialogs.image_files import LoadDialog
from app.console.dialogs.job_card import JobCard
from app.console.dialogs.keys import KeysDialog
from app.console.dialogs.pull import PullDialog
from app.console.dialogs.push import PushDialog
from app.console.dialogs.reach import ReachCard
from app.console.dialogs.run import RunDialog
from app.console.dialogs.why import WhyCard
from app.console.feed import Feed
from app.console.jobs import Job
from app.console.key_order import OrderedKeys
from app.console.problems import use_of_track
from app.console.relay import Relay
from app.console.screens.container import ContainerPlace
from app.console.screens.containers import ContainersPlace
from app.console.screens.events import EventsPlace
from app.console.screens.host import HostPlace
from app.console.screens.image import ImagePlace
from app.console.screens.images import ImagesPlace
from app.console.screens.networks import NetworksPlace
from app.console.screens.place import Place
from app.console.screens.registries import RegistriesPlace
from app.console.screens.volumes import VolumesPlace
from app.console.settings import Settings, read_settings, settings_dir
from app.console.store import Store
from app.console.theme import Palette, textual_theme
from app.console.theme_file import ThemeFile, load_themes
from app.console.theme_glance import DEFAULT_THEME
from app.why.reason import Step
from app.why.signs import Signs
from core.about import NAME, STARTER_IMAGE
from core.backend import Backend
from core.errors import InvalidInput
from core.model.display import safe_text

_VIEW_OF = {"logs": "logs", "top": "processes", "diff": "changes"}
"""Commands that a view of the container stands for."""
_SHOWN = ("exec", "run", "fsck", "attach")
"""Commands whose output is what they are for."""
_FIRST_ANSWER_S = 0.01
_FIRST_ANSWER_TRIES = 200


class Console(OrderedKeys[int], inherit_bindings=False):
    """The whole console over one backend."""

    TITLE = NAME
    ENABLE_COMMAND_PALETTE = False
    ESCAPE_TO_MINIMIZE = False
    ALLOW_SELECT = False
    MODES: ClassVar = {
        "containers": ContainersPlace,
        "images": ImagesPlace,
        "volumes": VolumesPlace,
        "networks": NetworksPlace,
        "events": EventsPlace,
        "host": HostPlace,
    }
    BINDINGS: ClassVar = [Binding("ctrl+c", "nothing", show=False, system=True)]

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self._backend = backend
        self.store = Store()
        self.cpu_of_host = False
        self._settings = Settings()
        self._complaints: list[str] = []
        self._own_keys: dict[str, str] = {}
        self._last_place = "containers"
        self._themes: dict[str, ThemeFile] = {}
        self._differ = frame.install(self.console)
        self._load_settings()
        self.actions: Actions
        self._feed: Feed

    # ------------------------------------------------------------------ life

    def _load_settings(self) -> None:
        try:
            self._settings = read_settings(settings_dir())
        except InvalidInput as error:
            self._complaints.append(error.message)
        self._themes, complaints = load_themes(settings_dir() / "themes")
        self._complaints += complaints
        for theme in self._themes.values():
            self.register_theme(textual_theme(theme))
        wanted = self._settings.theme or DEFAULT_THEME
        if wanted not in self._themes:
            self._complaints.append(f"theme {wanted}: there is none of that name")
            wanted = DEFAULT_THEME
        self._use_theme(wanted)
        self.cpu_of_host = self._settings.cpu == "host"
        self._own_keys = keymap.overrides(self._settings.preset, self._settings.keys)

    def _use_theme(self, name: str) -> None:
        self.palette = Palette(self._themes[name])
        self.theme = name
        if self._differ is not None:
            self._differ.ground = self.palette.style("text")

    def on_mount(self) -> None:
        relay = Relay(self)
        self._feed = Feed(self._backend, self.store, relay)
        self.actions = Actions(self._backend, self.store, self._feed, relay)
        self.set_keymap(self._own_keys)
        self.app_resume_signal.subscribe(self, lambda _app: self.action_repaint())
        self._feed.start()
        self.switch_mode("containers")
        if self._complaints:
            self.store.put_notice("; ".join(self._complaints), "fail")
        self.set_interval(1.0, lambda: self.store.tell("notice"))
        self._await_first_answer(_FIRST_ANSWER_TRIES)

    def _await_first_answer(self, tries: int) -> None:
        """Keys wait until the list they are meant for is there; for an engine that is silent, not long."""
        if tries and "containers" not in self.store.loaded:
            self.set_timer(_FIRST_ANSWER_S, lambda: self._await_first_answer(tries - 1))
        else:
            self.call_after_refresh(self.release_keys)

    def on_unmount(self) -> None:
        self._feed.stop()
        self.actions.close()

    def _fatal_error(self) -> None:
        """End without Textual's traceback, which shows local variables: whoever ran us tells the fault."""
        self._close_messages_no_wait()

    @property
    def fault(self) -> Exception | None:
        """What ended the console, if it did not end by itself."""
        return self._exception

    # ------------------------------------------------------------------ places

    def action_tab(self, place: str) -> None:
        if place != self.current_mode:
            self._last_place = self.current_mode
            self.switch_mode(place)

    def action_last_place(self) -> None:
        self.action_tab(self._last_place)

    def action_why(self) -> None:
        if self.store.problems:
            self.show_why(self.store.problems[0].container_id)

    def show_why(self, key: str) -> None:
        """The why-card of a container, and what is chosen there done."""
        container = self.store.container(key)
        if container is not None:
            signs = Signs(use=use_of_track(self.store.tracks.get(key)))
            card = WhyCard(container, signs, time.time_ns())
            self.push_screen(card, lambda step: self._take_step(key, step))

    def show_reach(self, key: str) -> None:
        """The card that tries the way to a container's port."""
        container = self.store.container(key)
        if container is not None:
            self.push_screen(ReachCard(container))

    def show_image_of(self, key: str) -> None:
        """The workbench of a container's image, with what the container has changed under the cursor."""
        container = self.store.container(key)
        if container is None:
            return
        if self.store.image(container.config.image_id) is None:
            self.store.put_notice(f"the image of {safe_text(container.name)} is not here any more", "warn")
        else:
            self.push_screen(ImagePlace(container.config.image_id, container=key))

    def _take_step(self, key: str, step: Step | None) -> None:
        """Looking at something opens the view that shows it, or a pane; everything else is done and told."""
        if step is None:
            return
        verb = step.commands[0][0]
        if verb in _VIEW_OF:
            self.push_screen(ContainerPlace(key, _VIEW_OF[verb]))
        elif verb in _SHOWN:
            self.push_screen(CommandOutput(shlex.join(step.commands[0])))
        else:
            self.actions.perform(step.commands, f"done: {step.text}")

    def action_dismiss(self) -> None:
        if self.store.notice is not None and self.store.notice.kind == "fail":
            self.store.notice = None
            self.store.tell("notice")
        elif self.store.problems:
            self.store.dismiss(self.store.problems[0])

    # ------------------------------------------------------------------ dialogs

    def action_run_dialog(self, image: str = "") -> None:
        first = next((tag for one in self.store.images for tag in one.tags), "")
        self.push_screen(RunDialog(image or first))

    def action_load_dialog(self) -> None:
        self.push_screen(LoadDialog())

    def action_pull_dialog(self) -> None:
        self.pull_dialog()

    def pull_dialog(self, reference: str = "", tag: str = "") -> None:
        """Ask which image is to be fetched, and fetch it."""
        self.push_screen(PullDialog(reference, tag=tag), self._show_begun)

    def push_dialog(self, name: str) -> None:
        """Ask where an image is to be sent, and send it."""
        self.push_screen(PushDialog(name), self._show_begun)

    def _show_begun(self, job: Job | None) -> None:
        if job is not None and not job.outcome:
            self.push_screen(JobCard(job))

    def action_show_job(self) -> None:
        if self.store.jobs:
            self.push_screen(JobCard(self.store.jobs[0]))
        else:
            self.store.put_notice("nothing is under way")

    def action_registries(self) -> None:
        self.push_screen(RegistriesPlace())

    def action_make_starter(self) -> None:
        if any(job.title.endswith(STARTER_IMAGE) for job in self.store.jobs):
            return
        self.actions.images.starter(STARTER_IMAGE, lambda _id: self.action_run_dialog(STARTER_IMAGE))

    def action_keys(self) -> None:
        place = self.screen.PLACE if isinstance(self.screen, Place) else ""
        self.push_screen(KeysDialog(place, self._own_keys))

    def action_command_line(self) -> None:
        def run(line: str | None) -> None:
            if line in ("q", "quit", "exit"):
                self.action_leave()
            elif line:
                self.push_screen(CommandOutput(line))

        self.push_screen(CommandLine(), run)

    def action_cancel_job(self) -> None:
        if self.store.jobs:
            self.store.jobs[0].cancel.cancel()
            self.store.put_notice(f"cancelling {self.store.jobs[0].title} …", "warn")

    # ------------------------------------------------------------------ the rest

    def copy(self, text: str, what: str) -> None:
        """Put text on the person's clipboard (OSC 52) and say so."""
        self.copy_to_clipboard(text)
        self.store.put_notice(f"copied {what}: {text if len(text) < 60 else text[:57] + '…'}")

    def action_cpu_base(self) -> None:
        self.cpu_of_host = not self.cpu_of_host
        of = "of all the host's cores" if self.cpu_of_host else "of one core"
        self.store.put_notice(f"CPU % is now {of}")
        self.store.tell("stats")

    def action_next_theme(self) -> None:
        names = sorted(self._themes)
        following = names[(names.index(self.theme) + 1) % len(names)]
        self._use_theme(following)
        self.store.put_notice(f"theme {following}")
        for screen in self.screen_stack:
            self._redraw(screen)

    def _redraw(self, screen: Screen[object]) -> None:
        for widget in screen.walk_children():
            if hasattr(widget, "refresh"):
                widget.refresh()
        screen.refresh()

    def action_repaint(self) -> None:
        self._forget_frame()
        self.screen.refresh(layout=True)
        self._redraw(self.screen)

    def _forget_frame(self) -> None:
        if self._differ is not None:
            self._differ.forget()

    def on_resize(self) -> None:
        self._forget_frame()

    def action_nothing(self) -> None:
        self.store.put_notice("q quits; a shell is left with Ctrl-]")

    def action_leave(self) -> None:
        self.exit(0)
