"""`info` and `version`, in docker's layout. Client and engine are one program: both halves are told of it."""

from __future__ import annotations

import platform
import sys
import time

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.format import binary_size, rfc3339_nano
from core.about import NAME, VERSION
from core.backend import EngineInfo
from core.model.registry import DOCKER_HUB

_Document = dict[str, object]
_NETWORK_DRIVERS = ("bridge", "host", "macvlan", "null")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def _client() -> _Document:
    machine = platform.machine()
    return {
        "Version": VERSION,
        "PythonVersion": platform.python_version(),
        "Os": sys.platform,
        "Arch": _MACHINES.get(machine, machine),
        "Context": "default",
    }


def version_document() -> _Document:
    """What `version --format json` prints."""
    client = _client()
    kernel = platform.release()
    details = {"Arch": client["Arch"], "KernelVersion": kernel, "Os": client["Os"], "Experimental": "false"}
    server = {
        "Platform": {"Name": ""},
        "Components": [
            {"Name": "Engine", "Version": VERSION, "Details": details},
            {"Name": "python", "Version": platform.python_version(), "Details": {}},
        ],
        "Version": VERSION,
        "Os": client["Os"],
        "Arch": client["Arch"],
        "KernelVersion": kernel,
    }
    return {"Client": client, "Server": server}


def _version(invocation: Invocation) -> int:
    io = invocation.io
    document = version_document()
    if invocation.flags.text("format"):
        return _formatted(invocation, document)
    client = _client()
    system = f"{client['Os']}/{client['Arch']}"
    io.line("Client:")
    for title, value in (
        ("Version", VERSION),
        ("Python version", client["PythonVersion"]),
        ("OS/Arch", system),
        ("Context", client["Context"]),
    ):
        io.line(f" {title + ':':<18} {value}")
    io.line("\nServer:\n Engine:")
    for title, value in (
        ("Version", VERSION),
        ("Kernel version", platform.release()),
        ("OS/Arch", system),
        ("Experimental", "false"),
    ):
        io.line(f"  {title + ':':<17} {value}")
    io.line(f" python:\n  {'Version:':<17} {client['PythonVersion']}")
    return 0


def _formatted(invocation: Invocation, document: _Document) -> int:
    layout = invocation.flags.text("format")
    from app.commands.template import Template
    from app.commands.template_functions import go_json

    invocation.io.line(go_json(document) if layout == "json" else Template(layout).render(document))
    return 0


def info_document(info: EngineInfo) -> _Document:
    """What `info --format json` prints: docker's keys, as far as the thing exists here."""
    from app.keyring import HUB_KEY

    able = set(info.limits)
    return {
        "ID": info.identity,
        "Containers": info.containers_running + info.containers_paused + info.containers_stopped,
        "ContainersRunning": info.containers_running,
        "ContainersPaused": info.containers_paused,
        "ContainersStopped": info.containers_stopped,
        "Images": info.images,
        "Driver": info.storage_driver,
        "DriverStatus": [list(pair) for pair in info.storage_status],
        "Plugins": {
            "Volume": ["local"],
            "Network": list(_NETWORK_DRIVERS),
            "Authorization": None,
            "Log": list(info.log_drivers),
        },
        "MemoryLimit": "memory" in able,
        "SwapLimit": "swap" in able,
        "CpuCfsPeriod": "cpu" in able,
        "CpuCfsQuota": "cpu" in able,
        "CPUShares": "cpu" in able,
        "CPUSet": "cpuset" in able,
        "PidsLimit": "pids" in able,
        "OomKillDisable": "oom-kill-disable" in able,
        "IPv4Forwarding": info.forwards_ipv4,
        "Debug": False,
        "SystemTime": rfc3339_nano(time.time_ns()),
        "LoggingDriver": info.logging_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if info.cgroup_version == "2" else "1",
        "KernelVersion": info.kernel,
        "IndexServerAddress": HUB_KEY,
        "RegistryConfig": _registry_config(info),
        "OperatingSystem": info.operating_system,
        "OSType": "linux",
        "Architecture": info.architecture,
        "NCPU": info.cpu_count,
        "MemTotal": info.memory_bytes,
        "DockerRootDir": info.data_root,
        "RunRoot": info.run_root,
        "Name": info.hostname,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": info.version,
        "Runtimes": {NAME: {"path": NAME}},
        "DefaultRuntime": NAME,
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": ""},
        "LiveRestoreEnabled": True,
        "FirewallBackend": {"Driver": info.firewall},
        "Isolation": "",
        "SecurityOptions": list(info.security_options),
        "Warnings": list(info.warnings) or None,
        "ClientInfo": {"Debug": False, **_client(), "Plugins": [], "Warnings": None},
    }


def _registry_config(info: EngineInfo) -> _Document:
    """How registries are reached, in docker's shape."""
    hosts = {
        host: {"Mirrors": [], "Name": host, "Official": False, "Secure": False}
        for host in info.insecure_registries
        if "/" not in host
    }
    mirrors = [f"{url}/" for url in info.registry_mirrors]
    hub = {"Mirrors": mirrors or None, "Name": DOCKER_HUB, "Official": True, "Secure": True}
    networks = [one for one in info.insecure_registries if "/" in one]
    return {
        "IndexConfigs": {**hosts, DOCKER_HUB: hub},
        "InsecureRegistryCIDRs": networks,
        "Mirrors": mirrors or None,
    }


def _info(invocation: Invocation) -> int:
    io = invocation.io
    info = invocation.backend.system.info()
    document = info_document(info)
    if invocation.flags.text("format"):
        return _formatted(invocation, document)
    security: list[str] = []
    for option in info.security_options:
        name, *rest = option.split(",")
        security.append(f"  {name.removeprefix('name=')}")
        security += [f"   {key.capitalize()}: {value}" for key, _, value in (one.partition("=") for one in rest)]
    lines = [
        "Client:",
        f" Version:    {VERSION}",
        " Context:    default",
        " Debug Mode: false",
        "",
        "Server:",
        f" Containers: {document['Containers']}",
        f"  Running: {info.containers_running}",
        f"  Paused: {info.containers_paused}",
        f"  Stopped: {info.containers_stopped}",
        f" Images: {info.images}",
        f" Server Version: {info.version}",
        f" Storage Driver: {info.storage_driver}",
        *(f"  {title}: {value}" for title, value in info.storage_status),
        f" Logging Driver: {info.logging_driver}",
        " Cgroup Driver: cgroupfs",
        f" Cgroup Version: {document['CgroupVersion']}",
        " Plugins:",
        "  Volume: local",
        f"  Network: {' '.join(_NETWORK_DRIVERS)}",
        f"  Log: {' '.join(info.log_drivers)}",
        " Swarm: inactive",
        f" Runtimes: {NAME}",
        f" Default Runtime: {NAME}",
        " Security Options:",
        *security,
        f" Kernel Version: {info.kernel}",
        f" Operating System: {info.operating_system}",
        " OSType: linux",
        f" Architecture: {info.architecture}",
        f" CPUs: {info.cpu_count}",
        f" Total Memory: {binary_size(info.memory_bytes)}",
        f" Name: {info.hostname}",
        f" ID: {info.identity}",
        f" {NAME.capitalize()} Root Dir: {info.data_root}",
        f" Run Root Dir: {info.run_root}",
        " Debug Mode: false",
        " Experimental: false",
        " Insecure Registries:",
        *(f"  {one}" for one in info.insecure_registries),
        *([" Registry Mirrors:", *(f"  {url}/" for url in info.registry_mirrors)] if info.registry_mirrors else ()),
        " Live Restore Enabled: true",
        f" Firewall Backend: {info.firewall}",
    ]
    io.text("".join(f"{line}\n" for line in lines) + "\n")
    for warning in info.warnings:
        io.complain(f"WARNING: {warning}")
    return 0


_FORMAT = flag("-f, --format string", "'json' or a Go template")

VERSION_COMMAND = Command(run=_version, summary=f"Show the {NAME} version information", flags=(_FORMAT,))
INFO = Command(run=_info, summary="Display system-wide information", flags=(_FORMAT,))
