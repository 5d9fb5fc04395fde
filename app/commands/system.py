"""`version`, `info` and `system reset`."""

from __future__ import annotations

import platform

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.template import Template
from app.commands.template_functions import go_json
from app.format import binary_size
from core.about import NAME, VERSION


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
RESET = Command(
    run=_reset,
    summary=f"Remove everything {NAME} has made: containers, images, volumes",
    flags=(flag("-f, --force", "Do not prompt for confirmation"),),
)
