"""Five containers to look at: something that logs, two that fight for a core, two with too little memory.

They carry the label `wharf.demo=true`, by which `stop_demo` finds them again. Running it twice
starts what is missing and leaves the rest alone.
"""

from __future__ import annotations

import sys

from core.about import NAME, STARTER_IMAGE
from core.backend import Backend
from core.errors import NotFound, WrongState
from core.model.container import Container, ContainerSpec
from core.model.limits import Limits
from core.model.progress import CancelToken, silent

DEMO_LABEL = f"{NAME}.demo"
_MIB = 1024 * 1024

_LOGGER = r"""
n=0
while :; do
  n=$((n + 1))
  case $((n % 17)) in
    0) printf '\033[31mERROR\033[0m pool exhausted (waited 5 s) request=%d\n' $n >&2 ;;
    5) printf '\033[33mWARN\033[0m  slow query took %d ms request=%d\n' $((n % 900)) $n ;;
    *) printf 'INFO  GET /v1/items/%d 200 %dms\n' $n $((n * 7 % 90)) ;;
  esac
  sleep 0.1
done
"""
_BURNER = "while :; do :; done"
_FILLER = """
while :; do
  n=0
  while [ $n -lt 60 ]; do
    dd if=/dev/zero of=/dev/shm/fill bs=1048576 count=1 seek=$n conv=notrunc 2>/dev/null
    n=$((n + 1))
    echo "holding $n MiB of 64"
    sleep 1
  done
  sleep 20
  rm /dev/shm/fill
done
"""
_GLUTTON = "echo 'eating until the kernel says no'; a=0123456789abcdef; while :; do a=$a$a; done"


def _spec(name: str, script: str, limits: Limits | None = None) -> ContainerSpec:
    return ContainerSpec(
        image=STARTER_IMAGE,
        name=f"demo-{name}",
        command=("sh", "-c", script),
        limits=limits or Limits(),
        labels={DEMO_LABEL: "true"},
    )


SPECS = (
    _spec("logger", _LOGGER),
    _spec("burner-20", _BURNER, Limits(cpu_shares=20, cpuset_cpus="0")),
    _spec("burner-80", _BURNER, Limits(cpu_shares=80, cpuset_cpus="0")),
    _spec("filler", _FILLER, Limits(memory_bytes=64 * _MIB)),
    _spec("glutton", _GLUTTON, Limits(memory_bytes=16 * _MIB)),
)


def start_demo(backend: Backend) -> None:
    """Make sure that the starter image and the five containers are there, and started.

    Raises: EngineError: what could not be made or started.
    """
    cancel = CancelToken()
    try:
        backend.images.inspect(STARTER_IMAGE)
    except NotFound:
        _say(f"making {STARTER_IMAGE} from this host's own tools …")
        backend.images.starter(STARTER_IMAGE, silent, cancel)
    there = {container.name: container for container in _demo_containers(backend)}
    for spec in SPECS:
        found = there.get(spec.name)
        if found is not None and found.status == "running":
            continue
        key = found.id if found is not None else backend.containers.create(spec).id
        _say(f"starting {spec.name}")
        try:
            backend.containers.start(key)
        except WrongState:
            continue  # somebody else has just started it


def run_demo(backend: Backend) -> int:
    """Start the demo and open the console on it; the console's exit code."""
    start_demo(backend)
    from app.console.application import run_console
    from core.state.glance import glance

    info = backend.system.info()
    return run_console(lambda: backend, lambda most: glance(info.data_root, info.run_root, most))


def stop_demo(backend: Backend) -> int:
    """Remove the demo's containers; the image stays."""
    for container in _demo_containers(backend):
        backend.containers.remove(container.id, force=True, volumes=True)
        _say(f"removed {container.name}")
    return 0


def _demo_containers(backend: Backend) -> list[Container]:
    return [one for one in backend.containers.list(all=True) if one.config.labels.get(DEMO_LABEL) == "true"]


def _say(words: str) -> None:
    print(words, file=sys.stderr)
