"""20,000 small files: first content of a volume, and cp in both directions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from app.commands.maketar import pack
from app.commands.untar import unpack
from core.model.container import ContainerSpec
from core.model.mounts import MountSpec
from tests.bench.machines import Machines
from tests.bench.measures import Row, in_turns, seconds

FILES = 20_000
FILE_BYTES = 2_000


def _make_tree(directory: Path) -> Path:
    tree = directory / "many"
    for number in range(FILES):
        folder = tree / "app" / f"d{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_bytes(number.to_bytes(8, "big") * (FILE_BYTES // 8))
    return tree


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """Everybody on the same disk; containers are stopped, as `docker create` leaves them."""
    tree = _make_tree(machines.wharf.directory)
    archive = machines.wharf.directory / "many.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tree, arcname=".")
    clis = machines.command_lines
    for cli in clis.values():
        cli.ok("import", "--change", "CMD true", str(archive), "bench/many:1")
        cli.ok("create", "--name", "many", *cli.run_options, "bench/many:1", "true")

    def fill(name: str) -> Callable[[], object]:
        cli = clis[name]

        def action() -> None:
            cli.ok("create", "--name", "filled", "-v", "/app", *cli.run_options, "bench/many:1", "true")
            cli.ok("rm", "-v", "filled")

        return action

    yield seconds("copy-up of 20,000 files: create and rm -v", in_turns({n: fill(n) for n in clis}, rounds))

    def out(name: str) -> Callable[[], object]:
        target = clis[name].directory / "out"

        def action() -> None:
            shutil.rmtree(target, ignore_errors=True)
            clis[name].ok("cp", "many:/app", str(target))

        return action

    def into(name: str) -> Callable[[], object]:
        return lambda: clis[name].ok("cp", str(tree / "app"), "many:/copied")

    yield seconds("cp of 20,000 files out, the whole command", in_turns({n: out(n) for n in clis}, rounds))
    yield seconds("cp of 20,000 files in, the whole command", in_turns({n: into(n) for n in clis}, rounds))
    engine = machines.engine.engine
    inside = machines.wharf.directory / "inside"

    def copy_up() -> None:
        spec = ContainerSpec(image="bench/many:1", mounts=(MountSpec(kind="volume", target="/app"),))
        engine.containers.remove(engine.containers.create(spec).id, volumes=True)

    def copy_out() -> None:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        unpack(engine.containers.copy_out("many", "/app"), str(inside), rename=None, keep_owner=False)

    def copy_in() -> None:
        engine.containers.copy_in("many", "/", pack(str(tree / "app"), "in-process", keep_owner=False))

    local = in_turns({"copy-up": copy_up, "out": copy_out, "in": copy_in}, rounds)
    yield seconds("the same, engine in process: copy-up", {"wharf": local["copy-up"]})
    yield seconds("the same, engine in process: cp out", {"wharf": local["out"]})
    yield seconds("the same, engine in process: cp in", {"wharf": local["in"]})
    for cli in clis.values():
        cli.clean()
    subprocess.run(["rm", "-rf", str(tree), str(archive), str(inside)], check=True)
    os.sync()
