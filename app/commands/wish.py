"""The flags of `run` and `create`, and how they become a ContainerSpec."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from app.commands.definition import Invocation
from app.commands.flags import Flag, Values, flag
from app.commands.isolation import ISOLATION_FLAGS, read_isolation
from app.commands.limits import LIMIT_FLAGS, read_limits
from app.commands.networking import NETWORKING_FLAGS, read_networking
from core.errors import InvalidInput, InvalidSpec, wrapped
from core.model.container import ContainerSpec
from core.model.health import HealthCheck
from core.model.mounts import MountSpec, parse_mount, parse_tmpfs, parse_volume
from core.model.reference import parse_reference
from core.model.restart import RestartPolicy, parse_restart_policy
from core.model.security import parse_capability
from core.model.signals import parse_signal

_STREAMS = ("stdin", "stdout", "stderr")


def _check_stream(text: str) -> None:
    if text.lower() not in _STREAMS:
        raise InvalidInput("valid streams are STDIN, STDOUT and STDERR")


def _check_env(text: str) -> None:
    if not text or text.startswith("="):
        raise InvalidInput(f"invalid environment variable: {text}")


def _check_hostname(text: str) -> None:
    labels = text.split(".")
    plain = text.replace("-", "").replace(".", "").replace("_", "")
    if not text.isascii() or not plain.isalnum() or len(text) > 63 or not all(labels):
        raise InvalidInput("a host name is made of letters, digits, dots and dashes, at most 63 of them")


def _check_platform(text: str) -> None:
    system, _, machine = text.partition("/")
    if system != "linux" or machine.count("/") > 1 or not all(machine.split("/") if machine else ("any",)):
        raise InvalidInput("write linux/ARCHITECTURE[/VARIANT], such as linux/arm64")


def _check_volume_driver(text: str) -> None:
    if text not in ("", "local"):
        raise InvalidInput(
            f'error looking up volume plugin {text}: plugin "{text}" not found: the only driver is local'
        )


_OWN_FLAGS: tuple[Flag, ...] = (
    flag("-a, --attach list", "Attach to STDIN, STDOUT or STDERR", check=_check_stream),
    flag("--cap-add list", "Add Linux capabilities", check=parse_capability),
    flag("--cap-drop list", "Drop Linux capabilities", check=parse_capability),
    flag("--cidfile string", "Write the container ID to the file"),
    flag("--entrypoint string", "Overwrite the default ENTRYPOINT of the image"),
    flag("-e, --env list", "Set environment variables", check=_check_env),
    flag("--env-file list", "Read in a file of environment variables"),
    flag("--health-cmd string", "Command to run to check health"),
    flag("--health-interval duration", "Time between running the check (ms|s|m|h)"),
    flag("--health-retries int", "Consecutive failures needed to report unhealthy"),
    flag("--health-start-interval duration", "Time between running the check during the start period (ms|s|m|h)"),
    flag("--health-start-period duration", "Start period for the container to initialize (ms|s|m|h)"),
    flag("--health-timeout duration", "Maximum time to allow one check to run (ms|s|m|h)"),
    flag("-h, --hostname string", "Container host name", check=_check_hostname),
    flag("--init", "Run an init inside the container that forwards signals and reaps processes"),
    flag("-i, --interactive", "Keep STDIN open even if not attached"),
    flag("-l, --label list", "Set meta data on a container"),
    flag("--label-file list", "Read in a line delimited file of labels"),
    flag("--log-driver string", "Logging driver for the container"),
    flag("--log-opt list", "Log driver options"),
    flag("--mount mount", "Attach a filesystem mount to the container", check=parse_mount),
    flag("--name string", "Assign a name to the container"),
    flag("--no-healthcheck", "Disable any container-specified HEALTHCHECK"),
    flag("--platform string", "Set platform if server is multi-platform capable", check=_check_platform),
    flag("--privileged", "Give extended privileges to this container"),
    flag("--read-only", "Mount the container's root filesystem as read only"),
    flag("--rm", "Automatically remove the container and its anonymous volumes when it exits"),
    flag("--stop-signal string", "Signal to stop the container", check=parse_signal),
    flag("--stop-timeout int", "Timeout (in seconds) to stop a container"),
    flag("--tmpfs list", "Mount a tmpfs directory", check=parse_tmpfs),
    flag("-t, --tty", "Allocate a pseudo-TTY"),
    flag("-u, --user string", "Username or UID (format: <name|uid>[:<group|gid>])"),
    flag("-v, --volume list", "Bind mount a volume", check=parse_volume),
    flag("--volumes-from list", "Mount volumes from the specified container(s)"),
    flag(
        "--pull string",
        'Pull image before running ("always", "missing", "never")',
        default="missing",
    ),
    flag("--volume-driver string", "Volume driver for the container (local)", check=_check_volume_driver),
    flag("--annotation map", "Add an annotation to the container"),
    flag("-w, --workdir string", "Working directory inside the container"),
    flag("--disable-content-trust", "Skip image verification", default="true", hidden=True),
    flag("-q, --quiet", "Suppress the pull output"),
    flag(
        "--restart string",
        "Restart policy to apply when a container exits",
        default="no",
        check=parse_restart_policy,
    ),
)
CREATE_FLAGS: tuple[Flag, ...] = tuple(
    sorted((*_OWN_FLAGS, *LIMIT_FLAGS, *ISOLATION_FLAGS, *NETWORKING_FLAGS), key=lambda each: each.name)
)


def read_wish(invocation: Invocation, *, detach: bool) -> ContainerSpec:
    """The container that a command line asks for.

    Raises: InvalidSpec, InvalidInput: it contradicts itself, or a file it names can't be read.
    """
    flags = invocation.flags
    image, *command = invocation.arguments
    parse_reference(image)
    attach = {stream.lower() for stream in flags.many("attach")}
    interactive = flags.truth("interactive")
    if not attach and not detach:
        attach = {"stdout", "stderr"} | ({"stdin"} if interactive else set())
    limits = read_limits(flags)
    entrypoint: tuple[str, ...] | None = None
    if flags.given("entrypoint"):
        text = flags.text("entrypoint")
        entrypoint = (text,) if text else ()
    return ContainerSpec(
        image=image,
        command=tuple(command),
        entrypoint=entrypoint,
        name=flags.text("name").removeprefix("/"),
        hostname=flags.text("hostname"),
        env=read_env(flags.many("env"), flags.many("env-file")),
        working_dir=flags.text("workdir"),
        user=flags.text("user"),
        tty=flags.truth("tty"),
        open_stdin=interactive,
        attach_stdin="stdin" in attach,
        attach_stdout="stdout" in attach,
        attach_stderr="stderr" in attach,
        auto_remove=flags.truth("rm"),
        **read_networking(flags),
        mounts=_read_mounts(flags.many("volume"), flags.many("mount"), flags.many("tmpfs")),
        limits=limits,
        privileged=flags.truth("privileged"),
        cap_add=tuple(parse_capability(name) for name in flags.many("cap-add")),
        cap_drop=tuple(parse_capability(name) for name in flags.many("cap-drop")),
        read_only=flags.truth("read-only"),
        labels=_read_labels([*_lines_of(flags.many("label-file")), *flags.many("label")]),
        stop_signal=flags.text("stop-signal"),
        volumes_from=flags.many("volumes-from"),
        **read_isolation(flags),
        health=_read_health(flags),
        log_driver=flags.text("log-driver"),
        log_options=_read_log_options(flags.text("log-driver"), flags.many("log-opt")),
        init=flags.truth("init"),
        stop_timeout_s=flags.number("stop-timeout") if flags.given("stop-timeout") else None,
        restart=_read_restart(flags),
    )


def _read_log_options(driver: str, given: Sequence[str]) -> dict[str, str]:
    if driver == "none" and given:
        raise InvalidInput("invalid logging opts for driver none")
    return {name: value for name, _, value in (text.partition("=") for text in given)}


def _read_restart(flags: Values) -> RestartPolicy:
    policy = parse_restart_policy(flags.text("restart"))
    if policy.name != "no" and flags.truth("rm"):
        raise InvalidSpec("conflicting options: cannot specify both --restart and --rm")
    return policy


def _read_health(flags: Values) -> HealthCheck | None:
    """The check that a command line asks for; None leaves the image's as it is.

    Raises: InvalidInput: with docker's words.
    """
    lengths = {}
    for name in ("interval", "start-interval", "start-period", "timeout"):
        lengths[name] = flags.duration(f"health-{name}")
    retries, command = flags.number("health-retries"), flags.text("health-cmd")
    if flags.truth("no-healthcheck"):
        if command or retries or any(lengths.values()):
            raise InvalidInput("--no-healthcheck conflicts with --health-* options")
        return HealthCheck(test=("NONE",))
    for name, length_ns in lengths.items():
        if length_ns < 0:
            raise InvalidInput(f"--health-{name} cannot be negative")
    if retries < 0:
        raise InvalidInput("--health-retries cannot be negative")
    if not (command or retries or any(lengths.values())):
        return None
    return HealthCheck(
        test=("CMD-SHELL", command) if command else (),
        interval_ns=lengths["interval"],
        timeout_ns=lengths["timeout"],
        start_period_ns=lengths["start-period"],
        start_interval_ns=lengths["start-interval"],
        retries=retries,
    )


def read_env(given: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Variables as `K=V`; a bare name takes our own environment's value, or is left out.

    Raises: InvalidInput: a file can't be read, or holds a variable whose name can't be one.
    """
    found = []
    for text in given:
        _check_env(text)
    for text in [*_lines_of(files), *given]:
        name, equals, _ = text.partition("=")
        if equals:
            found.append(text)
        elif name in os.environ:
            found.append(f"{name}={os.environ[name]}")
    return tuple(found)


def _lines_of(paths: Iterable[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                lines = [line.lstrip().rstrip("\r\n") for line in file]
        except OSError as error:
            raise wrapped(error, "open", path) from None
        lines = [line for line in lines if line and not line.startswith("#")]
        for line in lines:
            _check_name(line, path)
        found += lines
    return found


def _check_name(line: str, path: str) -> None:
    """A file's line must name what it sets: one with blanks in its name is most often a mistake of quoting."""
    name = line.partition("=")[0]
    if not name:
        raise InvalidInput(f"invalid env file ({path}): no variable name on line '{line}'", hint="write NAME=value")
    if any(letter.isspace() for letter in name):
        raise InvalidInput(
            f"invalid env file ({path}): variable '{name}' contains whitespaces", hint="write NAME=value"
        )


def _read_labels(given: Iterable[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, _, value = text.partition("=")
        if not key:
            raise InvalidSpec(f"invalid label '{text}': empty name")
        labels[key] = value
    return labels


def _read_mounts(volumes: Sequence[str], mounts: Sequence[str], tmpfs: Sequence[str]) -> tuple[MountSpec, ...]:
    cwd = os.getcwd() if any(text.startswith(".") or "=." in text for text in (*volumes, *mounts)) else "/"
    found = [parse_volume(text, cwd=cwd) for text in volumes]
    found += [parse_mount(text, cwd=cwd) for text in mounts]
    found += [parse_tmpfs(text) for text in tmpfs]
    return tuple(found)
