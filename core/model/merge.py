"""An image's config and a person's wish become what a container runs. Docker's rules, pure.

The wish wins; labels, exposed ports and environment are joined key by key. Naming an entry point,
even an empty one, sets the image's command aside as well.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress

import msgspec

from core.errors import InvalidInput, InvalidSpec
from core.model.container import ContainerSpec
from core.model.health import HealthCheck, merge_health
from core.model.image import ImageConfig
from core.model.mounts import MountSpec

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The merged half of a ContainerConfig; ids, names of volumes and host paths come later."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: tuple[str, ...]
    """The wish's entries first, then the image's others: the order inspect shows."""
    working_dir: str
    user: str
    labels: dict[str, str]
    stop_signal: str
    exposed_ports: tuple[str, ...]
    health: HealthCheck | None
    mounts: tuple[MountSpec, ...]
    """The wish's mounts, then an anonymous volume for every other volume of the image."""


def merge(image: ImageConfig, spec: ContainerSpec) -> Merged:
    """Merge a wish with the image it names.

    Raises: InvalidSpec: no command, two mounts on one target, a relative working directory.
    """
    if spec.entrypoint is None:
        entrypoint, command = image.entrypoint, spec.command or image.cmd
    else:
        entrypoint, command = spec.entrypoint, spec.command
    if not entrypoint and not command:
        raise InvalidSpec("no command specified", hint=f"the image {spec.image} has none: write one after its name")
    published = (f"{port.container_port}/{port.protocol}" for port in spec.ports)
    return Merged(
        entrypoint=entrypoint,
        command=command,
        env=_merge_env(spec.env, image.env),
        working_dir=_merge_working_dir(spec.working_dir, image.working_dir),
        user=spec.user or image.user,
        labels={**image.labels, **spec.labels},
        stop_signal=spec.stop_signal or image.stop_signal,
        exposed_ports=tuple(sorted({*_exposed(image.exposed_ports), *spec.expose, *published})),
        health=merge_health(image.health, spec.health),
        mounts=_merge_mounts(spec.mounts, image.volumes),
    )


def _exposed(ports: tuple[str, ...]) -> tuple[str, ...]:
    """An image's, in the one form that all who read them rely on; what names no port exposes nothing."""
    if not ports:
        return ()
    from core.model.ports import parse_expose

    found: list[str] = []
    for text in ports:
        with suppress(InvalidInput):
            found += parse_expose(text)
    return tuple(found)


def process_environment(env: tuple[str, ...], *, hostname: str, tty: bool) -> tuple[str, ...]:
    """What the process finds in its environment, HOME aside: the defaults, overridden by the config's entries.

    An entry without `=` takes a variable away, as docker has it.
    """
    entries = [DEFAULT_PATH, f"HOSTNAME={hostname}"]
    if tty:
        entries.append("TERM=xterm")
    positions = {_key(entry): index for index, entry in enumerate(entries)}
    result: list[str | None] = list(entries)
    for entry in env:
        key = _key(entry)
        if "=" not in entry:
            if key in positions:
                result[positions.pop(key)] = None
        elif key in positions:
            result[positions[key]] = entry
        else:
            positions[key] = len(result)
            result.append(entry)
    return tuple(entry for entry in result if entry is not None)


def _key(entry: str) -> str:
    return entry.partition("=")[0]


def _merge_env(wished: tuple[str, ...], image: tuple[str, ...]) -> tuple[str, ...]:
    keys = {_key(entry) for entry in wished}
    return wished + tuple(entry for entry in image if _key(entry) not in keys)


def _merge_working_dir(wished: str, image: str) -> str:
    if wished and not wished.startswith("/"):
        raise InvalidSpec(
            f"the working directory '{wished}' is invalid, it needs to be an absolute path",
            hint="write it with a leading /",
        )
    chosen = wished or image
    if not chosen:
        return ""
    return posixpath.normpath("/" + chosen.lstrip("/"))


def _merge_mounts(wished: tuple[MountSpec, ...], volumes: tuple[str, ...]) -> tuple[MountSpec, ...]:
    targets: set[str] = set()
    for mount in wished:
        if mount.target in targets:
            raise InvalidSpec(f"duplicate mount point: {mount.target}", hint="name each target once")
        targets.add(mount.target)
    anonymous: list[MountSpec] = []
    for volume in volumes:
        target = posixpath.normpath("/" + volume.lstrip("/"))
        if target == "/":
            raise InvalidSpec("invalid volume specification: the image's volume can't be '/'")
        if target not in targets:
            targets.add(target)
            anonymous.append(MountSpec(kind="volume", target=target, given_by="image"))
    return wished + tuple(anonymous)
