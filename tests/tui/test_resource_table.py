"""The list at size: what is not on screen is not drawn."""

from __future__ import annotations

from app import short
from app.console.widgets.resource_table import ResourceTable
from tests.tui.conftest import Open
from tests.tui.fake_backend import FakeBackend, make_container


async def test_20000_rows_draw_only_what_is_visible(console: Open, monkeypatch: object) -> None:
    backend = FakeBackend()
    for number in range(20_000):
        made = make_container(f"c{number:05}")
        backend.all_containers[made.id] = made
    backend.containers.stats = lambda keys=(): {}  # type: ignore[method-assign, assignment]
    backend.containers.stats_history = lambda key, since_ns=0: []  # type: ignore[method-assign]
    async with console((120, 40), backend) as screen:
        await screen.shows("Containers 20000", "c00000")
        drawn = 0
        real = short.state

        def counting(*values: object) -> str:
            nonlocal drawn
            drawn += 1
            return real(*values)  # type: ignore[arg-type]

        short.state = counting  # type: ignore[assignment]
        try:
            table = screen.app.screen.query_one(ResourceTable)
            table.set_items(backend.all_containers.values())
            await screen.pilot.pause()
            await screen.press("pagedown", "down")
        finally:
            short.state = real
        assert 0 < drawn < 40 * 12
        await screen.press("end")
        await screen.shows("c19999")
        await screen.press("slash")
        await screen.type("c1234")
        await screen.shows("c12340", "c12349")
        await screen.press("enter")
        await screen.shows("10 fit")
