"""What `system df` says against what lies on the disk (row B10), and where things lie (row C8)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from core.backend import CommitWish
from core.engine.engine import Engine
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from core.state import paths
from tests.conftest import Runner
from tests.stores import layer_files, let_go


def _du(*places: Path) -> int:
    """Bytes of files and links, a file with several names counted once, directories left out."""
    command = ["find", "-H", *map(str, places), "(", "-type", "f", "-o", "-type", "l", ")", "-printf", "%D:%i %s\\n"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum({file: int(size) for file, size in (line.split() for line in lines)}.values())


def test_B10_df_is_what_du_counts(engine: Engine, run: Runner) -> None:
    mounts = (MountSpec(kind="volume", source="full", target="/v"),)
    script = "head -c 5000000 /dev/urandom > /one; head -c 700000 /dev/zero > /v/x; ln /v/x /v/y"
    run.sh(script, name="maker", mounts=mounts)
    engine.images.commit("maker", CommitWish(reference="bigger:1"), silent, CancelToken())
    try:
        usage = engine.system.disk_usage()
        roots = engine.roots
        layers = {chain for one in usage.images for chain in one.image.layers}
        on_disk = _du(*(layer_files(engine, chain) for chain in layers))
        assert abs(usage.layers_bytes - on_disk) <= on_disk / 100
        uppers = _du(*(roots.container(container.id) / "upper" for container in usage.containers))
        assert sum(container.size_rw_bytes or 0 for container in usage.containers) == uppers
        volumes = _du(*(roots.volume(volume.name) / "_data" for volume in usage.volumes))
        assert sum(volume.size_bytes or 0 for volume in usage.volumes) == volumes
        bigger = next(one for one in usage.images if "bigger:1" in one.image.tags)
        assert bigger.unique_bytes == 5_000_000
        assert bigger.shared_bytes == bigger.image.size_bytes - 5_000_000
    finally:
        let_go()
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, force=True)
        engine.images.remove("bigger:1")
        engine.volumes.remove("full")


def test_C8_the_data_root_is_laid_out_as_its_documentation_says(engine: Engine, run: Runner) -> None:
    """Every place on the disk is in the map, and what a container writes to a volume is there for the host."""
    container = run.background("sh", "-c", "echo seen >/data/page; exec sleep 1000", mounts=(_anonymous("/data"),))
    volume = engine.containers.inspect(container).config.mounts[0]
    assert re.fullmatch(r"[0-9a-f]{64}", volume.name)
    page = engine.roots.data / "volumes" / volume.name / "_data" / "page"
    assert page == Path(engine.volumes.inspect(volume.name).mountpoint) / "page"
    run.exec(container, "sync")
    assert page.read_text() == "seen\n"
    described = paths.__doc__ or ""
    for name in os.listdir(engine.roots.data):
        assert re.search(rf"(?m)^  {re.escape(name)}\b|\s{re.escape(name)}/", described), f"{name} is on no map"
    inside = engine.roots.container(container)
    for name in os.listdir(inside):
        assert re.search(rf"\b{re.escape(name)}\b", described), f"containers/<id>/{name} is on no map"


def _anonymous(target: str) -> MountSpec:
    return MountSpec(kind="volume", target=target)
