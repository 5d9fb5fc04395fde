"""The console in a terminal of thin air, and what a person sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from app.console.console import Console
from tests.tui.fake_backend import FakeBackend, seeded

KEYS = {" ": "space", ":": "colon", "/": "slash", "-": "minus", ".": "full_stop", "=": "equals_sign"}


class Screen:
    """A running console: press, click, and read what is on the screen."""

    def __init__(self, app: Console, pilot: Pilot[int], backend: FakeBackend) -> None:
        self.app = app
        self.pilot = pilot
        self.backend = backend

    def text(self) -> str:
        """Every visible line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.press(*(KEYS.get(character, character) for character in text))

    async def until(self, true: Callable[[], object], what: str = "") -> None:
        """Wait for something to come about; the screen is shown if it does not."""
        for _ in range(500):
            if true():
                return
            await asyncio.sleep(0.02)
            await self.pilot.pause()
        raise AssertionError(f"never: {what}\n{self.text()}")

    async def shows(self, *words: str) -> None:
        """Wait until all words are on the screen."""
        for word in words:
            await self.until(lambda word=word: word in self.text(), f"{word!r} on the screen")

    async def gone(self, word: str) -> None:
        """Wait until a word is no longer on the screen."""
        await self.until(lambda: word not in self.text(), f"{word!r} gone")

    async def called(self, *call: object) -> None:
        """Wait until the backend was asked for something; only the given parts are compared."""
        await self.until(
            lambda: any(one[: len(call)] == call for one in self.backend.calls),
            f"call {call} among {self.backend.calls}",
        )

    async def click_text(self, words: str, *, button: int = 1, times: int = 1) -> None:
        """Click the first place where words are shown."""
        await self.shows(words)
        for y, line in enumerate(self.text().split("\n")):
            x = line.find(words)
            if x >= 0:
                await self.pilot.click(offset=(x + len(words) // 2, y), button=button, times=times)
                await self.pilot.pause()
                return


Open = Callable[..., AbstractAsyncContextManager[Screen]]


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """`async with console(size=…, backend=…) as screen`, in an empty home and directory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def open_console(
        size: tuple[int, int] = (120, 40), backend: FakeBackend | None = None
    ) -> AsyncIterator[Screen]:
        backend = backend or seeded()
        app = Console(backend)
        async with app.run_test(size=size) as pilot:
            screen = Screen(app, pilot, backend)
            await screen.until(lambda: {"containers", "images", "stats"} <= app.store.loaded, "first lists")
            await pilot.pause()
            yield screen

    return open_console


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What landed on the clipboard."""
    from app.console.console import Console

    texts: list[str] = []
    monkeypatch.setattr(Console, "copy_to_clipboard", lambda self, text: texts.append(text))
    return texts
