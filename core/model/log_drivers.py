"""Log drivers: their options, what docker says of wrong ones, and what a monitor needs of them."""

from __future__ import annotations

import re

import msgspec

from core.errors import InvalidInput
from core.model.limits import parse_bytes

DEFAULT_DRIVER = "local"
_ROTATED = ("max-size", "max-file", "compress")
_NAMED = ("labels", "labels-regex", "env", "env-regex", "tag")
_CACHED = ("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress")
_ANY = ("mode", "max-buffer-size")
OPTIONS: dict[str, tuple[str, ...]] = {
    "local": _ROTATED,
    "json-file": (*_ROTATED, *_NAMED),
    "syslog": ("syslog-address", "syslog-facility", "syslog-format", *_NAMED, *_CACHED),
    "journald": (*_NAMED, *_CACHED),
    "none": (),
}
"""What each driver takes, beside what all of them do."""

_LOCAL_BYTES, _LOCAL_FILES = 20 * 1024 * 1024, 5
_ENDLESS_BYTES = 128 * 1024 * 1024
"""A segment of a log that is never rotated away."""
_BUFFER_BYTES = 1_000_000
_FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_PROTOCOLS = ("unix", "unixgram", "udp", "tcp")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELD = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A driver and its options, as given."""

    driver: str = DEFAULT_DRIVER
    options: dict[str, str] = {}


class LogSubject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose log it is: what tags and attributes are made of."""

    id: str
    name: str
    image_id: str
    image_name: str
    argv: tuple[str, ...]
    labels: dict[str, str]
    env: tuple[str, ...]


class SandboxLog(msgspec.Struct, frozen=True, kw_only=True):
    """A driver with everything worked out: the log on disk first, then where it is passed on to."""

    name: str = DEFAULT_DRIVER
    max_bytes: int = _LOCAL_BYTES
    max_files: int = _LOCAL_FILES
    compress: bool = True
    is_blocking: bool = True
    most_behind_bytes: int = 0
    path: str = ""
    file_max_bytes: int = 0
    file_max_files: int = 1
    file_compress: bool = False
    attributes: dict[str, str] = {}
    address: str = ""
    facility: int = 3
    format: str = ""
    tag: str = ""
    fields: dict[str, str] = {}


def check_log(config: LogConfig) -> None:
    """Refuse what docker refuses.

    Raises: InvalidInput: with docker's words.
    """
    known = OPTIONS.get(config.driver)
    if known is None:
        raise InvalidInput(
            f'error looking up logging plugin {config.driver}: plugin "{config.driver}" not found',
            hint=f"there are: {', '.join(sorted(OPTIONS))}",
        )
    options = config.options
    if config.driver == "none" and options:
        raise InvalidInput("invalid logging opts for driver none")
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidInput(f"logger: logging mode not supported: {mode}", hint="blocking or non-blocking")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidInput("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        _size(options, "max-buffer-size", 0)
    for name in options:
        if name not in known and name not in _ANY:
            raise InvalidInput(
                f"unknown log opt '{name}' for {config.driver} log driver",
                hint=f"it knows {', '.join(sorted((*known, *_ANY)))}",
            )
    _check_values(config)


def _check_values(config: LogConfig) -> None:
    options = config.options
    for prefix in ("", "cache-"):
        largest = _size(options, f"{prefix}max-size", 0)
        if f"{prefix}max-size" in options and not largest and options[f"{prefix}max-size"] != "-1":
            raise InvalidInput(f"failed to initialize logging driver: invalid size: '{options[prefix + 'max-size']}'")
        _count(options, f"{prefix}max-file", 1)
        _truth(options, f"{prefix}compress", False)
    rotates = _count(options, "max-file", 1) > 1 and _size(options, "max-size", 0) > 0
    if config.driver == "json-file" and _truth(options, "compress", False) and not rotates:
        raise InvalidInput(
            "failed to initialize logging driver: compress cannot be true when max-file is less than 2 "
            "or max-size is not set"
        )
    if config.driver == "local" and options.get("max-size") == "-1":
        raise InvalidInput(
            "failed to initialize logging driver: invalid value for max-size: -1: invalid size: '-1'",
            hint="json-file knows logs without end",
        )
    _truth(options, "cache-disabled", False)
    for name in ("labels-regex", "env-regex"):
        try:
            re.compile(options.get(name, ""))
        except re.error as error:
            raise InvalidInput(f"failed to initialize logging driver: {name}: {error}") from None
    _check_tag(options.get("tag", ""))
    if config.driver == "syslog":
        _check_address(options.get("syslog-address", ""))
        _facility(options.get("syslog-facility", ""))
        if options.get("syslog-format", "") not in _FORMATS:
            raise InvalidInput("Invalid syslog format", hint="rfc3164, rfc5424 or rfc5424micro")


def _check_address(address: str) -> None:
    if not address:
        return
    proto, colon, place = address.partition("://")
    if not colon:
        raise InvalidInput(
            f"syslog-address should be in form proto://address, got {address}", hint="for example udp://10.0.0.5:514"
        )
    if proto == "tcp+tls":
        raise InvalidInput("syslog over TLS is not available", hint="use tcp, or a local syslog daemon that speaks TLS")
    if proto not in _PROTOCOLS:
        raise InvalidInput(f"unsupported scheme: '{proto}'", hint=f"one of {', '.join(_PROTOCOLS)}")
    if proto.startswith("unix") and not place.startswith("/"):
        raise InvalidInput(f"syslog-address {address}: the path of a socket begins with /")
    if not proto.startswith("unix"):
        port = _with_port(place).rpartition(":")[2]
        if not (port.isdigit() and port.isascii() and 0 < int(port) < 65536):
            raise InvalidInput(f"syslog-address {address}: {port} is not a port")


def _with_port(place: str) -> str:
    """A host and its port, syslog's own where none is named."""
    bare = place.rpartition("]")[2] if place.startswith("[") else place
    return place if ":" in bare else f"{place}:514"


def _facility(text: str) -> int:
    if text in _FACILITIES:
        return _FACILITIES.index(text)
    if text.isdigit() and text.isascii() and int(text) < len(_FACILITIES):
        return int(text)
    if not text:
        return _FACILITIES.index("daemon")
    raise InvalidInput("invalid syslog facility", hint="a name such as local0, or a number from 0 to 23")


def _size(options: dict[str, str], name: str, default: int) -> int:
    """Bytes, in decimal units as docker has them for logs; 0 is no limit."""
    text = options.get(name)
    if text is None:
        return default
    if text == "-1" and name == "max-size":
        return 0
    try:
        return _decimal_bytes(text)
    except InvalidInput:
        raise InvalidInput(
            f"failed to initialize logging driver: invalid size: '{text}'", hint="write for example 10m"
        ) from None


def _decimal_bytes(text: str) -> int:
    if "i" in text.lower():
        return parse_bytes(text)
    binary = parse_bytes(text)
    powers = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
    power = powers.get(text.lower().strip().rstrip("b ")[-1:], 0)
    return int(binary * 1000**power // 1024**power)


def _count(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    try:
        count = int(text)
    except ValueError:
        raise InvalidInput(
            f'failed to initialize logging driver: strconv.Atoi: parsing "{text}": invalid syntax',
            hint=f"{name} is a number",
        ) from None
    if count < 1:
        raise InvalidInput(f"failed to initialize logging driver: {name} cannot be less than 1")
    return count


def _truth(options: dict[str, str], name: str, default: bool) -> bool:
    text = options.get(name)
    if text is None:
        return default
    if text not in (*_TRUE, *_FALSE):
        raise InvalidInput(
            f"failed to initialize logging driver: error reading {name} log option: "
            f'strconv.ParseBool: parsing "{text}": invalid syntax',
            hint="write true or false",
        )
    return text in _TRUE


def _check_tag(tag: str) -> None:
    for field in _FIELD.findall(tag):
        if field not in _TAG_FIELDS:
            raise InvalidInput(
                f"failed to initialize logging driver: the tag's {{{{{field}}}}} is not known",
                hint=f"there are {', '.join(_TAG_FIELDS)}",
            )
    if "{{" in _FIELD.sub("", tag):
        raise InvalidInput(f"failed to initialize logging driver: the tag {tag!r} has an unclosed action")


_TAG_FIELDS = (*(".ID", ".FullID", ".Name", ".ImageID", ".ImageFullID", ".ImageName", ".Command", ".DaemonName"),)


def tag_of(template: str, subject: LogSubject) -> str:
    """A tag with its fields filled in, on one line: an image's command could else forge messages of others."""
    values = {
        ".ID": subject.id[:12],
        ".FullID": subject.id,
        ".Name": subject.name,
        ".ImageID": subject.image_id.removeprefix("sha256:")[:12],
        ".ImageFullID": subject.image_id,
        ".ImageName": subject.image_name,
        ".Command": " ".join(subject.argv),
        ".DaemonName": "wharf",
    }
    return _CONTROL.sub(" ", _FIELD.sub(lambda found: values.get(found[1], ""), template))


def log_attributes(config: LogConfig, subject: LogSubject) -> dict[str, str]:
    """What goes with every line: the labels and variables that are asked for, and a tag where one is given."""
    options = config.options
    variables = dict(entry.partition("=")[::2] for entry in subject.env if "=" in entry)
    found: dict[str, str] = {}
    for values, names, pattern in (
        (subject.labels, "labels", "labels-regex"),
        (variables, "env", "env-regex"),
    ):
        wanted = {name.strip() for name in options.get(names, "").split(",")} - {""}
        matches = re.compile(options[pattern]) if options.get(pattern) else None
        found |= {
            key: value
            for key, value in values.items()
            if key in wanted or (matches and matches.search(key) is not None)
        }
    if options.get("tag") and config.driver == "json-file":
        found["tag"] = tag_of(options["tag"], subject)
    return found


def work_out(config: LogConfig, subject: LogSubject, directory: str) -> SandboxLog:
    """What a monitor opens.

    Args: directory: the container's.
    """
    plan = SandboxLog(
        name=config.driver,
        max_bytes=0,
        max_files=0,
        compress=False,
        is_blocking=config.options.get("mode") != "non-blocking",
        most_behind_bytes=_size(config.options, "max-buffer-size", _BUFFER_BYTES),
    )
    match config.driver:
        case "local":
            return _rotated(plan, config.options, "")
        case "json-file":
            return _json_file(plan, config, subject, json_path(directory, subject.id))
        case "syslog" | "journald":
            return _sent(_rotated(plan, config.options, "cache-"), config, subject)
        case _:
            return plan


def _rotated(plan: SandboxLog, options: dict[str, str], prefix: str) -> SandboxLog:
    """The log on disk, in its usual bounds or in those that are asked for."""
    files = 1 if _truth(options, "cache-disabled", False) else _count(options, f"{prefix}max-file", _LOCAL_FILES)
    return msgspec.structs.replace(
        plan,
        max_bytes=_size(options, f"{prefix}max-size", _LOCAL_BYTES),
        max_files=files,
        compress=_truth(options, f"{prefix}compress", True),
    )


def _json_file(plan: SandboxLog, config: LogConfig, subject: LogSubject, path: str) -> SandboxLog:
    """As much on disk as the file holds: without a bound, everything."""
    largest, files = _size(config.options, "max-size", 0), _count(config.options, "max-file", 1)
    return msgspec.structs.replace(
        plan,
        max_bytes=largest or _ENDLESS_BYTES,
        max_files=files if largest else 0,
        compress=True,
        path=path,
        file_max_bytes=largest,
        file_max_files=files,
        file_compress=_truth(config.options, "compress", False),
        attributes=log_attributes(config, subject),
    )


def _sent(plan: SandboxLog, config: LogConfig, subject: LogSubject) -> SandboxLog:
    options = config.options
    proto, _, place = options.get("syslog-address", "").partition("://")
    if proto in ("udp", "tcp"):
        place = _with_port(place)
    tag = tag_of(options.get("tag") or "{{.ID}}", subject)
    return msgspec.structs.replace(
        plan,
        address=f"{proto}://{place}" if proto else "",
        facility=_facility(options.get("syslog-facility", "")),
        format=options.get("syslog-format", ""),
        tag=tag,
        fields=_journal_fields(config, subject, tag),
    )


def _journal_fields(config: LogConfig, subject: LogSubject, tag: str) -> dict[str, str]:
    fields = {
        "CONTAINER_ID": subject.id[:12],
        "CONTAINER_ID_FULL": subject.id,
        "CONTAINER_NAME": subject.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": subject.image_name,
        "SYSLOG_IDENTIFIER": tag,
    }
    for key, value in log_attributes(config, subject).items():
        name = re.sub("[^A-Z0-9_]", "_", key.upper()).lstrip("_")
        if name:
            fields[name] = value
    return fields


def json_path(directory: str, container_id: str) -> str:
    """Where json-file writes: what inspect shows as LogPath."""
    return f"{directory}/{container_id}-json.log"
