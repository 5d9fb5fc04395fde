"""`version`, `info`, `events` and `system reset`."""

from __future__ import annotations

import platform
import time

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, read_filters
from app.commands.flags import flag
from app.commands.template import Template
from app.commands.template_functions import go_json
from app.format import binary_size, parse_moment, rfc3339_fixed
from core.about import NAME, VERSION
from core.errors import Cancelled, InvalidInput
from core.model.events import Event
from core.model.pruning import has_labels

_EVENT_FILTERS = ("container", "event", "image", "label", "type", "volume")


def _version(invocation: Invocation) -> int:
    io, layout = invocation.io, invocation.flags.text("format")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    client = {
        "Version": VERSION,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": machine,
        "KernelVersion": platform.release(),
    }
    # The engine lives in this process: both halves of docker's answer are the same program.
    document = {"Client": client, "Server": {**client, "Engine": "in process"}}
    if layout == "json":
        io.line(go_json(document))
    elif layout:
        io.line(Template(layout).render(document))
    else:
        io.line("Client:")
        rows = [
            ("Version", VERSION),
            ("Python version", client["PythonVersion"]),
            ("OS/Arch", f"linux/{machine}"),
        ]
        for title, value in rows:
            io.line(f" {title + ':':<18} {value}")
        io.line("\nServer: the engine is part of this program, there is no daemon")
        for title, value in [("Version", VERSION), ("Kernel version", platform.release())]:
            io.line(f" {title + ':':<18} {value}")
    return 0


def _info(invocation: Invocation) -> int:
    io, layout = invocation.io, invocation.flags.text("format")
    info = invocation.backend.system.info()
    document = {
        "ID": info.data_root,
        "Containers": info.containers_running + info.containers_paused + info.containers_stopped,
        "ContainersRunning": info.containers_running,
        "ContainersPaused": info.containers_paused,
        "ContainersStopped": info.containers_stopped,
        "Images": info.images,
        "Driver": info.storage_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": info.cgroup_version,
        "KernelVersion": info.kernel,
        "OperatingSystem": info.operating_system,
        "OSType": "linux",
        "Architecture": info.architecture,
        "NCPU": info.cpu_count,
        "MemTotal": info.memory_bytes,
        "DockerRootDir": info.data_root,
        "RunRoot": info.run_root,
        "Name": info.hostname,
        "ServerVersion": info.version,
        "SecurityOptions": list(info.security_options),
        "Warnings": list(info.warnings) or None,
    }
    if layout == "json":
        io.line(go_json(document))
        return 0
    if layout:
        io.line(Template(layout).render(document))
        return 0
    rows = [
        f"Containers: {document['Containers']}",
        f" Running: {info.containers_running}",
        f" Paused: {info.containers_paused}",
        f" Stopped: {info.containers_stopped}",
        f"Images: {info.images}",
        f"Server Version: {info.version}",
        f"Storage Driver: {info.storage_driver}",
        "Cgroup Driver: cgroupfs",
        f"Cgroup Version: {info.cgroup_version}",
        "Security Options:",
        *(f" {option}" for option in info.security_options),
        f"Kernel Version: {info.kernel}",
        f"Operating System: {info.operating_system}",
        "OSType: linux",
        f"Architecture: {info.architecture}",
        f"CPUs: {info.cpu_count}",
        f"Total Memory: {binary_size(info.memory_bytes)}",
        f"Name: {info.hostname}",
        f"{NAME.capitalize()} Root Dir: {info.data_root}",
        f"Run Root Dir: {info.run_root}",
    ]
    io.text("Server:\n" + "".join(f" {row}\n" for row in rows))
    for warning in info.warnings:
        io.complain(f"WARNING: {warning}")
    return 0


def _moment(invocation: Invocation, name: str) -> int | None:
    text = invocation.flags.text(name)
    if not text:
        return None
    moment = parse_moment(text, time.time_ns())
    if moment is None:
        raise InvalidInput(f'invalid value for "{name}": "{text}"', hint="write for example 10m or a date")
    return moment


def event_line(event: Event) -> str:
    """An event as docker prints it."""
    attributes = ", ".join(f"{key}={event.attributes[key]}" for key in sorted(event.attributes))
    stamp = rfc3339_fixed(event.at_ns, local=True)
    return f"{stamp} {event.kind} {event.action} {event.actor}" + (f" ({attributes})" if attributes else "")


def _event_document(event: Event) -> dict[str, object]:
    return {
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.at_ns // 10**9,
        "timeNano": event.at_ns,
    }


def _events(invocation: Invocation) -> int:
    io, layout = invocation.io, invocation.flags.text("format")
    filters = read_filters(invocation.flags.many("filter"), _EVENT_FILTERS)
    template = Template(layout) if layout and layout != "json" else None
    since_ns, until_ns = _moment(invocation, "since"), _moment(invocation, "until")
    try:
        for event in invocation.backend.system.events(since_ns=since_ns, until_ns=until_ns, cancel=io.cancel):
            if not _wanted(event, filters):
                continue
            if template is not None:
                document = _event_document(event)
                document |= {"ID": event.actor, "Status": event.action, "Time": event.at_ns // 10**9}
                io.line(template.render(document))
            elif layout == "json":
                io.line(go_json(_event_document(event), for_html=True))
            else:
                io.line(event_line(event))
    except Cancelled:
        pass
    return 0


def _wanted(event: Event, filters: dict[str, list[str]]) -> bool:
    for name, values in filters.items():
        if name == "type":
            fits = event.kind in values
        elif name == "event":
            fits = event.action.partition(":")[0] in values or event.action in values
        elif name == "label":
            fits = has_labels(event.attributes, values)
        elif name == "image":
            fits = any(value in (event.attributes.get("image"), event.actor) for value in values)
        else:
            fits = event.kind == name and any(
                event.actor.startswith(value) or event.attributes.get("name") == value for value in values
            )
        if not fits:
            return False
    return True


def _reset(invocation: Invocation) -> int:
    info = invocation.backend.system.info()
    if not invocation.flags.truth("force") and not invocation.io.ask(
        f"WARNING! This will remove everything under {info.data_root}:\n"
        f"  - all containers, the running ones too\n  - all images\n  - all volumes and what is in them\n\n"
        "Are you sure you want to continue? [y/N] "
    ):
        return 0
    invocation.backend.system.reset()
    invocation.io.line(f"Removed everything under {info.data_root}")
    return 0


_FORMAT = flag("-f, --format string", "'json' or a Go template")

VERSION_COMMAND = Command(run=_version, summary=f"Show the {NAME} version information", flags=(_FORMAT,))
INFO = Command(run=_info, summary="Display system-wide information", flags=(_FORMAT,))
EVENTS = Command(
    run=_events,
    summary="Get real time events from the engine's journal",
    flags=(
        flag("-f, --filter filter", "Filter output based on conditions provided", check=check_filter),
        flag("--format string", "'json' or a Go template"),
        flag("--since string", "Show all events created since timestamp"),
        flag("--until string", "Stream events until this timestamp"),
    ),
)
RESET = Command(
    run=_reset,
    summary=f"Remove everything {NAME} has made: containers, images, volumes",
    flags=(flag("-f, --force", "Do not prompt for confirmation"),),
)
