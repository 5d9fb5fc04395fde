"""Log drivers: where a container's output goes, what can be read back, what is refused, as docker has it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.compat.targets import Cli, eventually

SCRIPT = (
    "echo hello; printf part; head -c 40000 /dev/zero | tr '\\0' x; echo; "
    "printf 'utf \\377 <&> \\033[1m \\342\\200\\250 \\0 \\t \\\\ \"'; echo err >&2"
)


def run(cli: Cli, name: str, *options: str, script: str = "echo out; echo err >&2") -> None:
    done = cli.run("--name", name, *options, "IMAGE", "sh", "-c", script)
    assert done.code == 0, done


def test_json_file_holds_dockers_lines(cli: Cli) -> None:
    run(
        *(cli, "lines", "--log-driver", "json-file", "--log-opt", "labels=a,b", "--log-opt", "env=X"),
        *("--log-opt", "tag={{.Name}}/{{.ID}}", "-e", "X=1", "-l", "a=2"),
        script=SCRIPT,
    )
    path = Path(cli.field("lines", "{{.LogPath}}"))
    container = cli.field("lines", "{{.Id}}")
    assert path.name == f"{container}-json.log"
    assert json.loads(cli.field("lines", "{{json .HostConfig.LogConfig}}")) == {
        "Type": "json-file",
        "Config": {"env": "X", "labels": "a,b", "tag": "{{.Name}}/{{.ID}}"},
    }
    said: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        assert list(record) == ["log", "stream", "attrs", "time"]
        assert record["attrs"] == {"X": "1", "a": "2", "tag": f"lines/{container[:12]}"}
        said[record["stream"]].append(record["log"])
    assert said["stderr"] == ["err\n"]
    assert [len(text) for text in said["stdout"][1:4]] == [16384, 16384, 7237]
    assert said["stdout"][0] == "hello\n"
    assert said["stdout"][4] == 'utf \ufffd <&> \x1b[1m \u2028 \0 \t \\ "'
    raw = path.read_bytes()
    assert rb"utf \ufffd \u003c\u0026\u003e \u001b[1m \u2028 \u0000 \u0009 \\ " in raw
    details = cli.ok("logs", "--details", "lines").splitlines()
    assert details[0] == f"X=1,a=2,tag=lines%2F{container[:12]} hello"


def test_json_file_is_rotated_and_logs_reads_what_is_kept(cli: Cli) -> None:
    run(
        *(cli, "turning", "--log-driver", "json-file", "--log-opt", "max-size=20k", "--log-opt", "max-file=3"),
        script="i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done",
    )
    path = Path(cli.field("turning", "{{.LogPath}}"))
    names = sorted(one.name for one in path.parent.iterdir() if "-json.log" in one.name)
    assert names == [path.name, f"{path.name}.1", f"{path.name}.2"]
    assert all((path.parent / name).stat().st_size <= 20_000 + 200 for name in names)
    said = [
        json.loads(line)["log"] for name in reversed(names) for line in (path.parent / name).read_text().splitlines()
    ]
    assert said == [f"line {n}\n" for n in range(3000 - len(said), 3000)]
    kept = cli.ok("logs", "turning").splitlines()
    assert kept == [f"line {n}" for n in range(3000 - len(kept), 3000)]
    assert len(kept) >= len(said)
    assert cli.ok("logs", "--tail", "2", "turning").splitlines() == ["line 2998", "line 2999"]


def test_local_is_bounded_compressed_and_read_as_one(cli: Cli) -> None:
    if cli.name != "wharf":
        pytest.skip("the files of docker's local driver are its own")
    run(
        *(cli, "bounded", "--log-opt", "max-size=100k", "--log-opt", "max-file=4"),
        script="i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done",
    )
    kept = cli.ok("logs", "bounded").splitlines()
    assert kept == [f"line {n}" for n in range(60000 - len(kept), 60000)]
    assert 300_000 <= sum(len(line) + 1 for line in kept) < 500_000
    assert cli.field("bounded", "{{.HostConfig.LogConfig.Type}}") == "local"
    assert cli.field("bounded", "{{.LogPath}}") == ""
    since = cli.ok("logs", "-t", "--tail", "1", "bounded").split()[0]
    assert cli.ok("logs", "--since", since, "bounded").splitlines()[-1] == "line 59999"


def test_B5_none_keeps_nothing(cli: Cli) -> None:
    done = cli.run("--name", "silent", "--log-driver", "none", "IMAGE", "echo", "seen")
    assert (done.code, done.out) == (0, "seen\n")
    refused = cli("logs", "silent")
    assert refused.code == 1
    assert "configured logging driver does not support reading" in refused.err
    assert cli.field("silent", "{{.HostConfig.LogConfig.Type}}") == "none"


def test_B5_syslog_gets_each_line_and_logs_reads_them_too(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        address = f"udp://127.0.0.1:{server.getsockname()[1]}"
        options = ("--log-driver", "syslog", "--log-opt", f"syslog-address={address}")
        run(cli, "sender", *options, "--log-opt", "tag={{.Name}}", "--log-opt", "syslog-facility=local3")
        found = {server.recv(4096).decode() for _ in range(2)}
        by_priority = {message[: message.index(">") + 1]: message for message in found}
        assert set(by_priority) == {"<158>", "<155>"}
        assert by_priority["<158>"].endswith(": out\n")
        assert by_priority["<155>"].endswith(": err\n")
        assert all(" sender[" in message for message in found)
        read = cli("logs", "sender")
        assert (read.out, read.err) == ("out\n", "err\n")


def test_B5_syslog_over_tcp(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
        options = ("--log-driver", "syslog", "--log-opt", f"syslog-address={address}")
        cli.ok(*cli.run_words("run", "-d", "--name", "talker", *options, "IMAGE", "sh", "-c", script))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            data = b""
            while data.count(b"\n") < 2000:
                data += connection.recv(65536)
        said = [line.rpartition(b": ")[2].decode() for line in data.splitlines()]
        assert said == [f"line {n}" for n in range(2000)]
        eventually("its end", lambda: cli.status("talker") == "exited")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--log-driver", "nope"), 'error looking up logging plugin nope: plugin "nope" not found'),
        (("--log-driver", "json-file", "--log-opt", "foo=bar"), "unknown log opt 'foo' for json-file log driver"),
        (("--log-driver", "syslog", "--log-opt", "foo=bar"), "unknown log opt 'foo' for syslog log driver"),
        (("--log-driver", "none", "--log-opt", "max-size=1m"), "invalid logging opts for driver none"),
        (("--log-driver", "json-file", "--log-opt", "max-size=abc"), "invalid size: 'abc'"),
        (("--log-driver", "json-file", "--log-opt", "max-file=0"), "max-file cannot be less than 1"),
        (("--log-driver", "local", "--log-opt", "max-size=-1"), "invalid value for max-size: -1: invalid size: '-1'"),
        (("--log-driver", "local", "--log-opt", "compress=x"), 'strconv.ParseBool: parsing "x": invalid syntax'),
        (
            ("--log-driver", "json-file", "--log-opt", "compress=true"),
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        (("--log-opt", "mode=foo"), "logger: logging mode not supported: foo"),
        (
            ("--log-opt", "max-buffer-size=1m"),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            ("--log-driver", "syslog", "--log-opt", "syslog-address=foo"),
            "syslog-address should be in form proto://address, got foo",
        ),
        (("--log-driver", "syslog", "--log-opt", "syslog-facility=foo"), "invalid syslog facility"),
        (("--log-driver", "syslog", "--log-opt", "syslog-format=foo"), "Invalid syslog format"),
        (("--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:1"), "connection refused"),
        (("--log-driver", "json-file", "--log-opt", "tag={{.Nope}}"), "failed to initialize logging driver"),
    ],
)
def test_log_options_that_make_no_sense_are_refused_in_dockers_words(
    cli: Cli, options: tuple[str, ...], message: str
) -> None:
    refused = cli.run("--rm", *options, "IMAGE", "echo", "x")
    assert refused.code == 125
    assert message in refused.err
    assert cli.ok("ps", "-aq") == ""


def test_a_terminals_output_is_logged_and_passed_on(cli: Cli) -> None:
    options = ("--log-driver", "json-file", "--log-opt", "max-size=1m")
    cli.ok(*cli.run_words("run", "-d", "-t", "--name", "screen", *options, "IMAGE", "echo", "shown"))
    cli.ok("wait", "screen")
    record = json.loads(Path(cli.field("screen", "{{.LogPath}}")).read_text())
    assert (record["log"], record["stream"]) == ("shown\r\n", "stdout")
    assert cli.ok("logs", "screen") == "shown\r"


def test_a_second_run_goes_on_with_the_same_log(cli: Cli) -> None:
    run(cli, "again", "--log-driver", "json-file", script="echo one; printf half")
    assert cli("start", "-a", "again").code == 0
    said = [json.loads(line)["log"] for line in Path(cli.field("again", "{{.LogPath}}")).read_text().splitlines()]
    assert said == ["one\n", "half", "one\n", "half"]
