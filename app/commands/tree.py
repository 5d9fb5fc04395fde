"""Which words lead to which command. A command's module is imported when the command is meant."""

from __future__ import annotations

from importlib import import_module
from typing import cast

import msgspec

from app.commands.definition import Command

COMMON = {
    "run": "run:RUN",
    "exec": "join:EXEC",
    "ps": "ps:PS",
    "logs": "logs:LOGS",
    "images": "images:IMAGES",
    "pull": "transfer:PULL",
    "push": "transfer:PUSH",
    "login": "login:LOGIN",
    "logout": "login:LOGOUT",
    "search": "search:SEARCH",
    "starter": "archive:STARTER",
    "demo": "demo:DEMO",
    "version": "info:VERSION_COMMAND",
    "info": "info:INFO",
}

MORE = {
    "attach": "join:ATTACH",
    "commit": "archive:COMMIT",
    "completion": "manual:COMPLETION",
    "cp": "files:CP",
    "create": "run:CREATE",
    "diff": "files:DIFF",
    "doctor": "doctor:DOCTOR",
    "events": "events:EVENTS",
    "export": "files:EXPORT",
    "fsck": "fsck:FSCK",
    "restore": "restore:RESTORE",
    "history": "images:HISTORY",
    "import": "archive:IMPORT",
    "inspect": "inspect:INSPECT",
    "kill": "lifecycle:KILL",
    "load": "archive:LOAD",
    "man": "manual:MAN",
    "pause": "lifecycle:PAUSE",
    "port": "port:PORT",
    "rename": "lifecycle:RENAME",
    "restart": "lifecycle:RESTART",
    "rm": "lifecycle:RM",
    "rmi": "images:RMI",
    "save": "archive:SAVE",
    "start": "join:START",
    "stats": "stats:STATS",
    "stop": "lifecycle:STOP",
    "tag": "images:TAG",
    "top": "stats:TOP",
    "unpause": "lifecycle:UNPAUSE",
    "update": "update:UPDATE",
    "wait": "lifecycle:WAIT",
    "why": "why:WHY",
}


class Group(msgspec.Struct, frozen=True):
    """A noun that is followed by a verb. Several words for one command: the first is shown."""

    summary: str
    words: dict[str, str]


GROUPS = {
    "container": Group(
        "Manage containers",
        {
            "attach": "join:ATTACH",
            "commit": "archive:COMMIT",
            "cp": "files:CP",
            "create": "run:CREATE",
            "diff": "files:DIFF",
            "exec": "join:EXEC",
            "export": "files:EXPORT",
            "inspect": "inspect:CONTAINER_INSPECT",
            "kill": "lifecycle:KILL",
            "logs": "logs:LOGS",
            "ls": "ps:PS",
            "list": "ps:PS",
            "ps": "ps:PS",
            "pause": "lifecycle:PAUSE",
            "port": "port:PORT",
            "prune": "prune:CONTAINERS",
            "rename": "lifecycle:RENAME",
            "restart": "lifecycle:RESTART",
            "rm": "lifecycle:RM",
            "remove": "lifecycle:RM",
            "run": "run:RUN",
            "start": "join:START",
            "stats": "stats:STATS",
            "stop": "lifecycle:STOP",
            "top": "stats:TOP",
            "unpause": "lifecycle:UNPAUSE",
            "update": "update:UPDATE",
            "wait": "lifecycle:WAIT",
            "why": "why:WHY",
        },
    ),
    "image": Group(
        "Manage images",
        {
            "diff": "image_files:DIFF",
            "history": "images:HISTORY",
            "import": "archive:IMPORT",
            "inspect": "inspect:IMAGE_INSPECT",
            "layers": "image_files:LAYERS",
            "load": "archive:LOAD",
            "ls": "images:IMAGES",
            "list": "images:IMAGES",
            "pack": "image_trees:PACK",
            "prune": "prune:IMAGES",
            "pull": "transfer:PULL",
            "push": "transfer:PUSH",
            "rm": "images:RMI",
            "remove": "images:RMI",
            "save": "archive:SAVE",
            "sbom": "image_files:SBOM",
            "squash": "image_trees:SQUASH",
            "tag": "images:TAG",
            "unpack": "image_trees:UNPACK",
            "waste": "image_files:WASTE",
        },
    ),
    "network": Group(
        "Manage networks",
        {
            "connect": "network:CONNECT",
            "create": "network:CREATE",
            "disconnect": "network:DISCONNECT",
            "inspect": "inspect:NETWORK_INSPECT",
            "ls": "network:LS",
            "list": "network:LS",
            "prune": "prune:NETWORKS",
            "rm": "network:RM",
            "remove": "network:RM",
        },
    ),
    "registry": Group(
        "Look into registries",
        {
            "copy": "registry:COPY",
            "inspect": "registry:INSPECT",
            "ls": "registry:LS",
            "list": "registry:LS",
            "rm": "registry:RM",
            "remove": "registry:RM",
            "tags": "registry:TAGS",
        },
    ),
    "system": Group(
        "Manage wharf",
        {
            "df": "df:DF",
            "events": "events:EVENTS",
            "info": "info:INFO",
            "prune": "prune:SYSTEM",
            "reset": "system:RESET",
        },
    ),
    "volume": Group(
        "Manage volumes",
        {
            "backup": "volume:BACKUP",
            "create": "volume:CREATE",
            "export": "volume:EXPORT",
            "import": "volume:IMPORT",
            "inspect": "inspect:VOLUME_INSPECT",
            "ls": "volume:LS",
            "list": "volume:LS",
            "prune": "prune:VOLUMES",
            "rm": "volume:RM",
            "remove": "volume:RM",
            "update": "volume:UPDATE",
        },
    ),
}

NOT_YET = {
    "build": "images are built in a later version; until then change a container and use commit",
    "builder": "images are built in a later version",
    "compose": "compose files come in a later version",
    "context": "remote hosts come in a later version",
    "manifest": "registry inspect shows one; several images are joined to one in a later version",
    "node": "swarm managers come in a later version",
    "service": "swarm managers come in a later version",
    "stack": "swarm managers come in a later version",
    "swarm": "swarm managers come in a later version",
}
"""Docker's other commands, and what to tell somebody who types one."""


def find(place: str) -> Command:
    """The definition at a place such as `run:RUN`, its module imported now."""
    module, _, attribute = place.partition(":")
    return cast(Command, getattr(import_module(f"app.commands.{module}"), attribute))


def top_words() -> dict[str, str]:
    """Every first word that is a command by itself."""
    return COMMON | MORE


def paths_of(place: str) -> list[str]:
    """Every way to say a command, in the order help shows them: `container ls`, …, `ps`."""
    paths = [f"{noun} {word}" for noun, group in GROUPS.items() for word, to in group.words.items() if to == place]
    return paths + [word for word, to in top_words().items() if to == place]


def all_commands() -> list[tuple[str, Command]]:
    """Each command once, under its shortest path, sorted: for the manual and completion."""
    places = {place: word for word, place in reversed(top_words().items())}
    for noun, group in GROUPS.items():
        for word, place in group.words.items():
            places.setdefault(place, f"{noun} {word}")
    return sorted((path, find(place)) for place, path in places.items())
