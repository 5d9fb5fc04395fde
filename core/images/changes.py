"""Dockerfile lines that change an image's config: `--change` of commit and import.

Only CMD ENTRYPOINT ENV EXPOSE LABEL USER VOLUME WORKDIR STOPSIGNAL and ONBUILD can stand there,
as with docker. Values go through the same quoting rules as in a Dockerfile.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Sequence
from typing import Any

from core.errors import InvalidInput
from core.model.durations import parse_duration

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of an image's `config` with the lines applied in turn. Raises: InvalidInput: naming the line."""
    result = {key: (value.copy() if isinstance(value, list | dict) else value) for key, value in config.items()}
    for line in changes:
        word, _, rest = line.strip().partition(" ")
        handler = _HANDLERS.get(word.upper())
        if handler is None:
            raise InvalidInput(
                f"{word.upper() or 'an empty line'} is not a valid change command",
                hint="one of " + ", ".join(sorted(_HANDLERS)),
            )
        rest = rest.strip()
        if not rest:
            raise InvalidInput(f"{word.upper()} requires at least one argument", hint=f"as in a Dockerfile: {line!r}")
        handler(result, rest)
    return result


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidInput(f"change {text!r}: {str(error).lower()}", hint="close the quotes") from None


def _command(text: str) -> list[str]:
    """The JSON form, or a line for the shell."""
    if text.startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return value
    return ["/bin/sh", "-c", text]


def _list_or_words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            raise InvalidInput(f"change {text!r}: not a JSON list of texts")
        return value
    return _words(text)


def _pairs(text: str, what: str) -> list[tuple[str, str]]:
    """`K=V K2="V 2"`, or the old form `K rest of the line`."""
    words = _words(text)
    if "=" not in words[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidInput(f"{what} must have two arguments: {text!r}", hint=f"write {what} KEY=VALUE")
        return [(key, value.strip())]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidInput(f"syntax error: can't find = in {word!r}, must be of the form: name=value")
        pairs.append((key, value))
    return pairs


def _set_cmd(config: dict[str, Any], text: str) -> None:
    config["Cmd"] = _command(text)


def _set_entrypoint(config: dict[str, Any], text: str) -> None:
    config["Entrypoint"] = _command(text)


def _add_env(config: dict[str, Any], text: str) -> None:
    env = list(config.get("Env") or [])
    for key, value in _pairs(text, "ENV"):
        entry = f"{key}={value}"
        for index, old in enumerate(env):
            if old.partition("=")[0] == key:
                env[index] = entry
                break
        else:
            env.append(entry)
    config["Env"] = env


def _add_exposed(config: dict[str, Any], text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in _words(text):
        match = _PORT.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 1 <= first <= last <= 65535:
            raise InvalidInput(f"invalid containerPort: {word}", hint="write PORT, PORT/udp or FIRST-LAST")
        for port in range(first, last + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    config["ExposedPorts"] = dict(sorted(ports.items()))


def _add_labels(config: dict[str, Any], text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text, "LABEL"))}


def _set_user(config: dict[str, Any], text: str) -> None:
    config["User"] = _one(text, "USER")


def _add_volumes(config: dict[str, Any], text: str) -> None:
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in _list_or_words(text)}}


def _set_working_dir(config: dict[str, Any], text: str) -> None:
    path = _one(text, "WORKDIR")
    config["WorkingDir"] = posixpath.normpath(posixpath.join(config.get("WorkingDir") or "/", path))


def _set_health(config: dict[str, Any], text: str) -> None:
    """`[--interval=… --timeout=… --start-period=… --start-interval=… --retries=…] CMD …`, or NONE."""
    check: dict[str, Any] = {}
    while text.startswith("--"):
        word, _, text = text.partition(" ")
        text = text.strip()
        name, _, value = word[2:].partition("=")
        key = {"start-period": "StartPeriod", "start-interval": "StartInterval"}.get(name, name.title())
        length_ns = parse_duration(value)
        if name == "retries" and value.isdigit() and value.isascii():
            check[key] = int(value)
        elif (
            name in ("interval", "timeout", "start-period", "start-interval")
            and (length_ns is not None)
            and length_ns >= 0
        ):
            check[key] = length_ns
        else:
            raise InvalidInput(f"HEALTHCHECK: {word} is not understood", hint="write for example --interval=30s")
    kind, _, rest = text.partition(" ")
    if kind.upper() == "NONE" and not rest and not check:
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    rest = rest.strip()
    if kind.upper() != "CMD" or not rest:
        raise InvalidInput(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)', hint="write HEALTHCHECK CMD command")
    words = _command(rest)
    is_line = words[:2] == ["/bin/sh", "-c"] and not rest.startswith("[")
    config["Healthcheck"] = {"Test": ["CMD-SHELL", rest] if is_line else ["CMD", *words], **check}


def _set_stop_signal(config: dict[str, Any], text: str) -> None:
    config["StopSignal"] = _one(text, "STOPSIGNAL")


def _add_on_build(config: dict[str, Any], text: str) -> None:
    trigger = text.partition(" ")[0].upper()
    if trigger in ("ONBUILD", "FROM", "MAINTAINER"):
        raise InvalidInput(f"{trigger} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def _one(text: str, what: str) -> str:
    words = _words(text)
    if len(words) != 1:
        raise InvalidInput(f"{what} requires exactly one argument: {text!r}")
    return words[0]


_HANDLERS = {
    "CMD": _set_cmd,
    "ENTRYPOINT": _set_entrypoint,
    "ENV": _add_env,
    "EXPOSE": _add_exposed,
    "HEALTHCHECK": _set_health,
    "LABEL": _add_labels,
    "USER": _set_user,
    "VOLUME": _add_volumes,
    "WORKDIR": _set_working_dir,
    "STOPSIGNAL": _set_stop_signal,
    "ONBUILD": _add_on_build,
}
