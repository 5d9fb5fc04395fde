"""Pictures of the console, made by the console: `python -m app.pictures [DIRECTORY]`.

The demo is started on an engine of its own, the real app is driven without a terminal, and each
scene becomes an SVG of a fixed size. Needs root, as containers do; takes about a minute, most of
it waiting for the meters to have a past.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from app.console.console import Console
from app.console.svg import screen_svg
from app.console.widgets.tree_table import TreeTable
from app.demo import start_demo
from app.picture_registry import HOST, served
from core.about import NAME, STARTER_IMAGE
from core.backend import Backend, CommitWish
from core.engine.engine import open_engine
from core.model.container import Container, ContainerSpec, Running
from core.model.mounts import MountSpec
from core.model.network import EndpointWish, NetworkSpec
from core.model.ports import PortWish
from core.model.progress import CancelToken, silent

SIZE = (120, 36)
SMALL = (80, 24)
_PAST_S = 45
_KEYS = {" ": "space", ":": "colon", "/": "slash", "-": "minus", ".": "full_stop"}

Scene = Callable[[Pilot[int]], Awaitable[None]]


async def _press(pilot: Pilot[int], *keys: str, settle_s: float = 0.6) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.1)
    await pilot.pause(settle_s)


async def _type(pilot: Pilot[int], text: str) -> None:
    await _press(pilot, *(_KEYS.get(character, character) for character in text), settle_s=0.2)


async def _filter(pilot: Pilot[int], text: str) -> None:
    await _press(pilot, "slash", settle_s=0.2)
    await _type(pilot, text)
    await _press(pilot, "enter", settle_s=0.2)


async def _containers(pilot: Pilot[int]) -> None:
    await _press(pilot, "end", settle_s=1.5)


async def _container(pilot: Pilot[int]) -> None:
    await _filter(pilot, "logger")
    await _press(pilot, "e", settle_s=1.5)
    await _type(pilot, "ps")
    await _press(pilot, "enter", settle_s=1.0)


async def _stats(pilot: Pilot[int]) -> None:
    await _filter(pilot, "filler")
    await _press(pilot, "enter", "m", settle_s=1.0)


async def _commit(pilot: Pilot[int]) -> None:
    await _filter(pilot, "shop-api")
    await _press(pilot, "c", settle_s=1.5)
    await _type(pilot, "shop/api:9.4")
    await _press(pilot, "tab")
    await _type(pilot, "fix pool size")
    await _press(pilot, "tab", "tab", "tab", "tab", "end", "space")


async def _images(pilot: Pilot[int]) -> None:
    await _press(pilot, "2", "T", settle_s=1.0)


async def _workbench(pilot: Pilot[int]) -> None:
    await _filter(pilot, "shop-api")
    await _press(pilot, "I", settle_s=1.5)
    await _press(pilot, "down", settle_s=1.0)
    await _press(pilot, "tab", "end", settle_s=0.3)
    app = pilot.app
    app.screen.query_one(TreeTable).go_to("app/config.yml")
    await pilot.pause(1.5)


async def _compare(pilot: Pilot[int]) -> None:
    await _press(pilot, "2", settle_s=0.5)
    await _filter(pilot, "shop/api")
    await _press(pilot, "end", "space", "home", "space", "C", settle_s=1.5)
    pilot.app.screen.query_one(TreeTable).go_to("app/config.yml")
    await pilot.pause(1.5)


async def _volume(pilot: Pilot[int]) -> None:
    await _press(pilot, "3", "enter", settle_s=0.5)
    await _press(pilot, "down", settle_s=0.8)


async def _network(pilot: Pilot[int]) -> None:
    await _press(pilot, "4", settle_s=0.5)
    await _press(pilot, "end", "up", "enter", settle_s=2.5)


async def _reach(pilot: Pilot[int]) -> None:
    await _filter(pilot, "shop-web")
    await _press(pilot, "P", settle_s=2.5)


async def _events(pilot: Pilot[int]) -> None:
    await _press(pilot, "5", settle_s=1.0)


async def _why(pilot: Pilot[int]) -> None:
    await _filter(pilot, "glutton")
    await _press(pilot, "W", settle_s=1.0)


async def _limits(pilot: Pilot[int]) -> None:
    await _filter(pilot, "filler")
    await _press(pilot, "U", settle_s=0.5)
    await _type(pilot, "0.5")


async def _registry(pilot: Pilot[int]) -> None:
    await _press(pilot, "2", "R", settle_s=1.0)
    await _filter(pilot, HOST)
    await _press(pilot, "enter", settle_s=1.0)
    await _press(pilot, "enter", settle_s=1.5)


async def _pull(pilot: Pilot[int]) -> None:
    await _press(pilot, "2", "P", settle_s=0.3)
    await _type(pilot, f"{HOST}/shop")
    await _press(pilot, settle_s=1.5)


async def _host(pilot: Pilot[int]) -> None:
    await _press(pilot, "6", settle_s=1.5)


async def _command(pilot: Pilot[int]) -> None:
    await _press(pilot, "colon")
    await _type(pilot, "ps -a")
    await _press(pilot, "enter", settle_s=1.0)


async def _nothing(pilot: Pilot[int]) -> None:
    await pilot.pause(0.5)


SCENES: tuple[tuple[str, Scene, tuple[int, int]], ...] = (
    ("containers", _containers, SIZE),
    ("container", _container, SIZE),
    ("stats", _stats, SIZE),
    ("why", _why, SIZE),
    ("events", _events, SIZE),
    ("limits", _limits, SIZE),
    ("commit", _commit, SIZE),
    ("images", _images, SIZE),
    ("workbench", _workbench, SIZE),
    ("compare", _compare, SIZE),
    ("volumes", _volume, SIZE),
    ("network", _network, SIZE),
    ("reach", _reach, SIZE),
    ("host", _host, SIZE),
    ("command", _command, SIZE),
    ("small", _containers, SMALL),
)
REGISTRY_SCENES: tuple[tuple[str, Scene, tuple[int, int]], ...] = (
    ("registry", _registry, SIZE),
    ("pull", _pull, SIZE),
)
"""Those that need a registry; they are left out where none can be run."""


async def take(backend: Backend, scene: Scene, size: tuple[int, int]) -> str:
    """Play one scene on a console of its own and return the picture."""
    app = Console(backend)
    async with app.run_test(size=size) as pilot:
        for _ in range(200):
            if {"containers", "images", "stats"} <= app.store.loaded:
                break
            await pilot.pause(0.05)
        await pilot.pause(2.2)  # two samples make a rate
        await scene(pilot)
        rows = app.screen._compositor.render_strips()
        return screen_svg(rows, size[0], app.ansi_theme, app.palette.colours.background)


def _prepare(backend: Backend) -> None:
    """The demo, and one container with a volume that has something in it."""
    start_demo(backend)
    script = (
        "mkdir -p /app; echo 'size = 32' > /app/pool.toml;"
        " printf '# Shop\\n\\nOrders of today, one a line.\\n' > /data/README.md;"
        " mkdir -p /data/orders; n=0; while :; do n=$((n+1)); echo order $n >> /data/orders/today.csv; sleep 1; done"
    )
    spec = ContainerSpec(
        image=STARTER_IMAGE,
        name="shop-writer",
        command=("sh", "-c", script),
        mounts=(MountSpec(kind="volume", source="shop-data", target="/data"),),
    )
    backend.containers.start(backend.containers.create(spec).id)
    _make_images(backend)
    _open_shop(backend)


def _make_images(backend: Backend) -> None:
    """Two images of a shop, one on top of the other, and a container that has changed what it was made from."""
    config = "pool:\\n  size: %s\\n  timeout: 30\\nlog: info\\n"
    fill = "fill() { dd if=/dev/zero of=$1 bs=1000 count=$2 2>/dev/null; }; "
    steps = (
        (
            "shop/api:9.2",
            STARTER_IMAGE,
            "mkdir -p /app/static /root/.cache/pip; echo 'import pool' > /app/main.py;"
            " fill /root/.cache/pip/wheels 4100; "
            f"printf '{config}' 8 > /app/config.yml; for n in 1 2 3 4; do fill /app/static/page$n.html 80; done",
        ),
        (
            "shop/api:9.3",
            "shop/api:9.2",
            "mkdir -p /usr/lib/python3/pool; fill /usr/lib/python3/pool/core.so 3100;"
            f" printf '{config}workers: 4\\n' 32 > /app/config.yml; rm -r /root/.cache/pip /app/static/page4.html",
        ),
    )
    for reference, image, script in steps:
        spec = ContainerSpec(image=image, command=("sh", "-c", fill + script))
        key = backend.containers.create(spec).id
        backend.containers.start(key)
        backend.containers.wait(key)
        backend.images.commit(key, CommitWish(reference=reference), silent, CancelToken())
        backend.containers.remove(key)
    script = (
        "sed -i 's/32/128/' /app/config.yml; echo 'class Pool: ...' > /app/pool.py; echo token > /app/.env;"
        " mkdir -p /var/cache/shop; fill /var/cache/shop/pages 900; sleep 100000"
    )
    spec = ContainerSpec(image="shop/api:9.3", name="shop-api", command=("sh", "-c", fill + script))
    backend.containers.start(backend.containers.create(spec).id)


def _open_shop(backend: Backend) -> None:
    """A network with a web server that is published, two that ask it for pages, and a database in a back room."""
    networks = [backend.networks.create(NetworkSpec(name="shop")).name]
    networks.append(backend.networks.create(NetworkSpec(name="shop-back", internal=True)).name)
    serve = "mkdir /www; dd if=/dev/zero of=/www/page bs=20000 count=1; exec httpd -f -p 80 -h /www"
    buy = "while :; do printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | nc -w 1 $WEB 80 >/dev/null; sleep 0.2; done"

    def start(name: str, script: str, *on: str, **fields: Any) -> Container:
        endpoints = tuple(EndpointWish(network=network) for network in on)
        spec = ContainerSpec(
            image=STARTER_IMAGE, name=name, command=("sh", "-c", script), network=on[0], endpoints=endpoints, **fields
        )
        key = backend.containers.create(spec).id
        backend.containers.start(key)
        return backend.containers.inspect(key)

    ports = (PortWish(container_port=80, host_ip="127.0.0.1"),)
    web = start("shop-web", serve, *networks, ports=ports)
    address = web.state.endpoints[0].ipv4 if isinstance(web.state, Running) else ""
    for name in ("shop-buyer-1", "shop-buyer-2"):
        start(name, buy, networks[0], env=(f"WEB={address}",))
    start("shop-db", "sleep 100000", networks[1])


def _take_all(backend: Backend, scenes: Sequence[tuple[str, Scene, tuple[int, int]]], directory: Path) -> None:
    for name, scene, size in scenes:
        (directory / f"{name}.svg").write_text(asyncio.run(take(backend, scene, size)), encoding="utf-8")
        print(directory / f"{name}.svg")


def main(arguments: list[str]) -> int:
    """Make all pictures; 0 when they are there."""
    directory = Path(arguments[0] if arguments else "screenshots")
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix=f"{NAME}-pictures-"))
    nothing = open_engine(root / "nothing")
    backend = open_engine(root / "data")
    try:
        (directory / "first-run.svg").write_text(asyncio.run(take(nothing, _nothing, SMALL)), encoding="utf-8")
        _prepare(backend)
        print(f"giving the meters a past of {_PAST_S} s …", file=sys.stderr)
        time.sleep(_PAST_S)
        _take_all(backend, SCENES, directory)
        with served(backend, root / "registry") as has_registry:
            _take_all(backend, REGISTRY_SCENES if has_registry else (), directory)
    finally:
        backend.system.reset()
        backend.close()
        nothing.system.reset()
        nothing.close()
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
