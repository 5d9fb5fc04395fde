"""A real registry for the pictures, where Debian's docker-registry is installed: a shop's images lie in it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.about import STARTER_IMAGE
from core.backend import Backend
from core.model.progress import CancelToken, silent
from core.model.registry import NoCredentials

HOST = "localhost:5000"
_NAMES = {
    "shop/api:9.2": ("shop/api:9.2",),
    "shop/api:9.3": ("shop/api:9.3", "shop/api:latest"),
    STARTER_IMAGE: ("shop/worker:2", "tools/starter:latest"),
}
"""Of images that the other scenes have made, which names they get there."""
_PATIENCE_S = 10.0


@contextmanager
def served(backend: Backend, directory: Path) -> Iterator[bool]:
    """Run it while the pictures are taken. Yields: whether there is one; its port may be somebody else's."""
    if shutil.which("docker-registry") is None or _answers():
        yield False
        return
    directory.mkdir()
    storage = {"filesystem": {"rootdirectory": str(directory)}, "delete": {"enabled": True}}
    config = directory / "config.yml"
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:5000"}}))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _answers() and time.monotonic() < deadline:
            time.sleep(0.05)
        for image, names in _NAMES.items():
            for name in names:
                backend.images.tag(image, f"{HOST}/{name}")
                backend.images.push(f"{HOST}/{name}", NoCredentials(), silent, CancelToken())
        yield True
    finally:
        process.terminate()
        process.wait()


def _answers() -> bool:
    try:
        socket.create_connection(("127.0.0.1", 5000), 1).close()
    except OSError:
        return False
    return True
