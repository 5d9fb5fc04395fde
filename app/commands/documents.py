"""Docker's JSON documents of containers, images and volumes, made of our values.

Names and shapes are docker's, so that `--format '{{.State.Running}}'` and people's scripts work.
What does not exist here keeps docker's "nothing" (null, empty, 0): a script that asks for it gets
the answer it would get of a container without it.
"""

from __future__ import annotations

import json

from app.commands.go_values import NIL, Omitting, OpenMap
from app.commands.host_config import host_config
from app.commands.network_documents import network_settings
from app.format import rfc3339_nano
from core.model.container import Container, ContainerSpec, Created, Exited, Restarting, Running
from core.model.health import Health, HealthCheck
from core.model.image import Image, ImageConfig
from core.model.log_drivers import json_path
from core.model.mounts import Mount
from core.model.volume import Volume

Document = dict[str, object]


def container_document(container: Container) -> Document:
    """What `inspect` shows of a container."""
    config, spec = container.config, container.config.spec
    argv = config.argv
    document: Document = {
        "Id": config.id,
        "Created": rfc3339_nano(config.created_ns),
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "State": _state(container),
        "Image": config.image_id,
        "ResolvConfPath": _inside(container, "resolv.conf"),
        "HostnamePath": _inside(container, "hostname"),
        "HostsPath": _inside(container, "hosts"),
        "LogPath": _log_path(container),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": spec.protection.apparmor,
        "ExecIDs": list(container.exec_ids) or None,
        "HostConfig": host_config(container),
        "GraphDriver": {
            "Data": {
                "LowerDir": ":".join(container.layer_directories),
                # nothing is mounted on the host: a running container's root is reached through its first process
                "MergedDir": f"/proc/{container.state.pid}/root" if isinstance(container.state, Running) else "",
                "UpperDir": _inside(container, "upper"),
                "WorkDir": _inside(container, "work"),
            },
            "Name": "overlay2",
        },
    }
    if container.size_rw_bytes is not None:
        document["SizeRw"] = container.size_rw_bytes
    if container.size_root_bytes is not None:
        document["SizeRootFs"] = container.size_root_bytes
    document["Mounts"] = [_mount(mount) for mount in config.mounts if _is_shown(mount, spec)]
    volumes = OpenMap({mount.target: {} for mount in config.mounts if mount.anonymous})
    document["Config"] = _without_empty(
        {
            "Hostname": config.hostname,
            "Domainname": spec.domainname,
            "User": config.user,
            "AttachStdin": spec.attach_stdin,
            "AttachStdout": spec.attach_stdout,
            "AttachStderr": spec.attach_stderr,
            "ExposedPorts": OpenMap({port: {} for port in config.exposed_ports}) or None,
            "Tty": spec.tty,
            "OpenStdin": spec.open_stdin,
            "StdinOnce": spec.open_stdin and spec.attach_stdin,
            "Env": list(config.env),
            "Cmd": list(config.command) or None,
            **_health_check(config.health),
            "Image": config.image_name,
            "Volumes": volumes or None,
            "WorkingDir": config.working_dir,
            "Entrypoint": list(config.entrypoint) or None,
            "OnBuild": None,
            "Labels": OpenMap(config.labels),
            "StopSignal": config.stop_signal,
            **({} if spec.stop_timeout_s is None else {"StopTimeout": spec.stop_timeout_s}),
        },
    )
    document["NetworkSettings"] = network_settings(container)
    return document


def _inside(container: Container, name: str) -> str:
    return f"{container.directory}/{name}" if container.directory else ""


def _log_path(container: Container) -> str:
    """The file that log shippers read; docker names one for json-file only."""
    if container.config.log.driver != "json-file" or not container.directory:
        return ""
    return json_path(container.directory, container.id)


def _state(container: Container) -> Document:
    status = container.status
    state = container.state
    document: Document = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": False,
        "Dead": status == "dead",
        "Pid": 0,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": rfc3339_nano(0),
        "FinishedAt": rfc3339_nano(0),
    }
    match state:
        case Running():
            document |= {"Pid": state.pid, "StartedAt": rfc3339_nano(state.started_ns)}
            warnings = [*state.warnings, *([state.held_up] if state.held_up else [])]
            if warnings:  # ours alone: what this host could not give
                document["Warnings"] = warnings
        case Exited() | Restarting():
            document |= {
                "OOMKilled": state.oom_killed,
                "ExitCode": state.exit_code,
                "Error": state.error,
                "StartedAt": rfc3339_nano(state.started_ns),
                "FinishedAt": rfc3339_nano(state.finished_ns),
            }
        case Created():
            document |= {"ExitCode": state.exit_code, "Error": state.error}
    if container.health:
        document["Health"] = _health(container.health)
    return Omitting(document, {"Health": NIL})


def _health(health: Health) -> Document:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": rfc3339_nano(result.start_ns),
                "End": rfc3339_nano(result.end_ns),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.results
        ],
    }


def _health_check(check: HealthCheck | None) -> Document:
    """`Healthcheck` of a config, when there is one: what is not set is left out."""
    if check is None:
        return {}
    fields = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {"Healthcheck": {name: value for name, value in fields.items() if value}}


def _is_shown(mount: Mount, spec: ContainerSpec) -> bool:
    """What --tmpfs made stands in HostConfig.Tmpfs alone, as docker has it."""
    by_tmpfs = {wish.target for wish in spec.mounts if wish.given_by == "--tmpfs"}
    return mount.kind != "tmpfs" or mount.target not in by_tmpfs


def _mount(mount: Mount) -> Document:
    is_volume = mount.kind == "volume"
    document: Document = {"Type": mount.kind}
    if is_volume:
        document["Name"] = mount.name
    document |= {"Source": mount.source, "Destination": mount.target}
    if is_volume:
        document["Driver"] = "local"
    if mount.kind == "image":
        document["Name"] = mount.name
    document |= {
        "Mode": "ro" if mount.read_only else "",
        "RW": not mount.read_only,
        "Propagation": mount.propagation or ("rprivate" if mount.kind == "bind" else ""),
    }
    return Omitting(document, {} if is_volume else {"Name": "", "Driver": ""})


def image_document(image: Image) -> Document:
    """What `image inspect` shows; what no engine needs comes from the image's own document."""
    own = json.loads(image.raw_config or b"{}")
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Parent": image.parent_id,
        "Comment": image.comment,
        "Created": rfc3339_nano(image.created_ns),
        "Container": _text(own.get("container")),
        "DockerVersion": _text(own.get("docker_version")),
        "Author": image.author,
        "Config": _image_config(image.config, own.get("config")),
        "Architecture": image.architecture,
        **({"Variant": _text(own["variant"])} if own.get("variant") else {}),
        "Os": image.os,
        "Size": image.size_bytes,
        "VirtualSize": image.size_bytes,
        "GraphDriver": {"Data": _layers(image.layer_directories), "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339_nano(0)},
    }


def _layers(directories: tuple[str, ...]) -> Document:
    """Docker's names for the topmost layer and those below it."""
    top, below = directories[:1], directories[1:]
    return {
        **({"LowerDir": ":".join(below)} if below else {}),
        "MergedDir": "",
        "UpperDir": "".join(top),
        "WorkDir": "",
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _image_config(config: ImageConfig, own: object) -> Document:
    own = own if isinstance(own, dict) else {}
    return _without_empty(
        {
            "Hostname": "",
            "Domainname": "",
            "User": config.user,
            "AttachStdin": False,
            "AttachStdout": False,
            "AttachStderr": False,
            "ExposedPorts": OpenMap({port: {} for port in config.exposed_ports}) or None,
            "Tty": False,
            "OpenStdin": False,
            "StdinOnce": False,
            "Env": list(config.env) or None,
            "Cmd": list(config.cmd) or None,
            **_health_check(config.health),
            "Image": "",
            "Volumes": OpenMap({path: {} for path in config.volumes}) or None,
            "WorkingDir": config.working_dir,
            "Entrypoint": list(config.entrypoint) or None,
            "OnBuild": own.get("OnBuild"),
            "Labels": OpenMap(config.labels) or None,
            "StopSignal": config.stop_signal,
            **({"Shell": list(config.shell)} if config.shell else {}),
        }
    )


_NOT_WHEN_EMPTY = ("ExposedPorts", "StopSignal")


def _without_empty(config: Document) -> Omitting:
    """A config as docker's JSON has it: these fields only with something in them; templates may ask all the same."""
    shown = {name: value for name, value in config.items() if value or name not in _NOT_WHEN_EMPTY}
    hidden: Document = {name: config[name] for name in _NOT_WHEN_EMPTY if name not in shown}
    return Omitting(shown, {"Healthcheck": NIL, "StopTimeout": NIL, **hidden})


def volume_document(volume: Volume) -> Document:
    """What `volume inspect` shows."""
    return {
        "CreatedAt": rfc3339_nano(volume.created_ns // 10**9 * 10**9),
        "Driver": volume.driver,
        "Labels": OpenMap(sorted(volume.labels.items())) or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": OpenMap(sorted(volume.options.items())) or None,
        "Scope": "local",
    }
