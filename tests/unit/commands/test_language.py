"""From words to an exit code: what is understood, what is refused, in which words."""

import json
import re

import pytest

from app.commands.language import complete
from core.errors import InUse, SandboxFailed
from tests.unit.commands.conftest import OLD_ID, WEB_ID


@pytest.mark.parametrize("words", [("ps",), ("container", "ls"), ("container", "list"), ("container", "ps")])
def test_B1_every_way_to_say_ps(shell, words):
    assert shell(*words, "-a") == 0
    assert shell.out.splitlines()[0].split() == [
        "CONTAINER",
        "ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert len(shell.out.splitlines()) == 3


def test_B1_ps_shows_running_ones_and_all_with_a(shell):
    shell("ps", "-q")
    assert shell.out == "b59d323b9048\n"
    shell("ps", "-aq", "--no-trunc")
    assert shell.out.split() == [WEB_ID, OLD_ID]
    shell("ps", "-l", "--format", "{{.Names}}")
    assert shell.out == "web\n"


def test_B1_rows_have_dockers_fields(shell):
    shell("ps", "--format", "json")
    row = json.loads(shell.out)
    assert row["Command"] == '"sleep 1000"'
    assert row["Mounts"] == "vol1,/tmp," + "c" * 14 + "…"
    assert row["LocalVolumes"] == "2"
    assert row["Labels"] == "k=v"
    assert row["State"] == "running"
    assert row["Status"].startswith("Up ")
    shell("ps", "-a", "--filter", "name=old", "--format", "{{.Command}} {{.Status}}")
    assert re.match(r'"sh -c \'exit 7\'" Exited \(7\) .* ago\n', shell.out)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["status=exited"], ["old"]),
        (["exited=7", "status=exited"], ["old"]),
        (["exited=7"], []),
        (["exited=1", "status=exited"], []),
        (["label=k=v", "status=running"], ["web"]),
        (["label=k=x"], []),
        (["id=9969"], []),
        (["volume=vol1"], ["web"]),
        (["ancestor=bb"], ["web"]),
        (["name=^/we"], ["web"]),
        (["network=none"], ["web"]),
    ],
)
def test_B1_filters(shell, filters, names):
    assert shell("ps", "--format", "{{.Names}}", *(f"--filter={text}" for text in filters)) == 0
    assert shell.out.split() == names


@pytest.mark.parametrize("words", [("-f", "foo=1"), ("-f", "status=asleep"), ("-f", "name=[")])
def test_B1_a_wrong_filter_is_refused(shell, words):
    assert shell("ps", *words) == 1
    assert shell.err.startswith("wharf: invalid filter")


@pytest.mark.parametrize(
    ("words", "code", "first_line"),
    [
        (["run"], 1, "wharf: 'wharf run' requires at least 1 argument"),
        (["ps", "x"], 1, "wharf: 'wharf ps' accepts no arguments"),
        (["logs"], 1, "wharf: 'wharf logs' requires 1 argument"),
        (["rename", "a"], 1, "wharf: 'wharf rename' requires 2 arguments"),
        (["volume", "create", "a", "b"], 1, "wharf: 'wharf volume create' requires at most 1 argument"),
        (["commit"], 1, "wharf: 'wharf commit' requires at least 1 and at most 2 arguments"),
        (["exec", "web"], 1, "wharf: 'wharf exec' requires at least 2 arguments"),
        (["run", "--foo"], 125, "wharf: unknown flag: --foo"),
        (["ps", "--all=zz"], 125, 'wharf: invalid argument "zz" for "-a, --all" flag: "zz" is neither true nor false'),
        (["foo"], 1, "wharf: unknown command: wharf foo"),
        (["container", "foo"], 1, "wharf: unknown command: wharf container foo"),
        (
            ["build", "x"],
            1,
            "wharf: build is not available yet: images are built in a later version; "
            "until then change a container and use commit",
        ),
    ],
)
def test_usage_mistakes(shell, words, code, first_line):
    assert shell(*words) == code
    assert shell.err.splitlines()[0] == first_line
    assert shell.out == ""


def test_a_near_miss_gets_a_suggestion(shell):
    shell("restrat", "x")
    assert "Did you mean 'restart'?" in shell.err


def test_A7_several_names_are_done_one_by_one_and_one_failure_is_a_failure(shell):
    assert shell("stop", "web", "nosuch", "old") == 1
    assert shell.out == "web\nold\n"
    assert shell.err == "wharf: no such container: nosuch\n"
    assert [call[:2] for call in shell.calls] == [("stop", "web"), ("stop", "nosuch"), ("stop", "old")]


def test_A7_rm_f_forgives_what_is_gone(shell):
    assert shell("rm", "nosuch") == 1
    assert shell("rm", "-f", "nosuch") == 0
    assert "no such container" in shell.err


def test_A7_a_refusal_shows_its_hint_on_a_second_line(shell):
    shell.backend.containers.failure = InUse("container web is running", hint="stop it first, or rm -f web")
    assert shell("rm", "web") == 1
    assert shell.err == "wharf: container web is running\nstop it first, or rm -f web\n"


def test_A6_kill_takes_a_signal_by_any_name(shell):
    for spelled in ("TERM", "SIGTERM", "15", "term"):
        shell("kill", "-s", spelled, "web")
    assert {call[2] for call in shell.calls} == {"TERM"}
    assert shell("kill", "web") == 0
    assert shell.calls[-1] == ("kill", "web", "KILL")
    assert shell("kill", "-s", "FOO", "web") == 1
    assert "invalid signal: FOO" in shell.err


def test_A9_wait_prints_codes(shell):
    assert shell("wait", "old", "web") == 0
    assert shell.out == "7\n0\n"


def test_B4_log_flags_may_follow_the_name(shell):
    assert shell("logs", "web", "-f", "--tail=10") == 0
    _, name, query = shell.calls[-1]
    assert (name, query.follow, query.tail) == ("web", True, 10)
    assert (shell.out, shell.err) == ("out\n", "err\n")
    shell("logs", "-t", "web")
    assert shell.out == "2026-11-21T04:36:46.274879097Z out\n"
    assert shell("logs", "--since", "xx", "web") == 1
    assert 'failed to parse value as time or duration: "xx"' in shell.err


def test_B8_top_hands_ps_its_own_options(shell):
    assert shell("top", "web", "-o", "pid,args") == 0
    assert shell.calls[-1] == ("top", "web", ("-o", "pid,args"))
    assert shell.out == "PID                 COMMAND\n42                  sleep 1000\n"


def test_B9_diff(shell):
    assert shell("diff", "web") == 0
    assert shell.out == "C /etc\nA /etc/new\n"


def test_B3_inspect_finds_containers_images_and_volumes(shell):
    assert shell("inspect", "--format", "{{ .State.Running }}", "web", "old") == 0
    assert shell.out == "true\nfalse\n"
    assert shell("inspect", "-f", "{{range .Mounts}}{{.Destination}} {{.RW}} {{.Name}};{{end}}", "web") == 0
    assert shell.out == f"/v1 false vol1;/ht true ;/data true {'c' * 64};\n"
    assert shell("inspect", "bb", "vol2") == 0
    assert [one.get("RepoTags") or one.get("Name") for one in json.loads(shell.out)] == [
        ["bb:latest", "other/n:3"],
        "vol2",
    ]


def test_B3_inspect_of_what_is_not_there(shell):
    assert shell("inspect", "nosuch", "web", "-f", "{{.Name}}") == 1
    assert shell.out == "/web\n"
    assert shell.err.splitlines()[0] == "wharf: no such object: nosuch"
    assert shell("inspect", "nosuch") == 1
    assert json.loads(shell.out) == []
    assert shell("inspect", "--type", "image", "web") == 1
    assert shell("inspect", "--type", "foo", "web") == 1
    assert shell("inspect", "-f", "{{.Foo}}", "web") == 1
    assert 'map has no entry for key "Foo"' in shell.err


def test_B2_images(shell):
    assert shell("images") == 0
    lines = shell.out.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert lines[1].startswith("bb           latest    707ead6cc739   ")
    assert lines[2].startswith("other/n      3         707ead6cc739   ")
    assert lines[3].startswith("<none>       <none>    1d4908f14602   ")
    shell("images", "-q")
    assert shell.out.split() == ["707ead6cc739", "707ead6cc739", "1d4908f14602"]
    shell("images", "bb")
    assert len(shell.out.splitlines()) == 2
    shell("images", "-f", "dangling=true", "-q")
    assert shell.out.split() == ["1d4908f14602"]
    shell("images", "-f", "reference=other/*:3", "--format", "{{.Repository}}:{{.Tag}} {{.Size}} {{.VirtualSize}}")
    assert shell.out == "other/n:3 1.98MB 1.984MB\n"


def test_B12_history(shell):
    assert shell("history", "bb") == 0
    lines = shell.out.splitlines()
    assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert lines[1].startswith("707ead6cc739   ")
    assert lines[1].endswith("sleep 1000" + " " * 38 + "3B        修改")
    assert "x" * 44 + "…   1.98MB" in lines[2]
    assert lines[2].startswith("<missing>      ")


def test_C5_tag_refuses_bad_names(shell):
    assert shell("tag", "bb", "A B") == 1
    assert shell.err.startswith("wharf: invalid reference format")
    assert shell("tag", "bb", "x:1") == 0
    assert shell.calls == [("tag", "bb", "x:1")]


def test_F4_volume_ls(shell):
    assert shell("volume", "ls") == 0
    assert shell.out == "DRIVER    VOLUME NAME\nlocal     vol1\nlocal     vol2\n"
    shell("volume", "ls", "-qf", "dangling=true")
    assert shell.out == "vol2\n"
    shell("volume", "inspect", "vol2", "-f", "{{json .Labels}} {{.Mountpoint}}")
    assert shell.out == '{"x":"y"} /r/volumes/vol2/_data\n'


def test_prune_asks_and_anything_but_yes_is_no(shell):
    assert shell("container", "prune", stdin=b"n\n") == 0
    assert shell("container", "prune", stdin=b"") == 0
    assert shell.out == ("WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ")
    assert shell.calls == []


def test_save_refuses_a_terminal(shell):
    assert shell("save", "bb", out_is_tty=True, owns_process=True) == 1
    assert shell.err.startswith("wharf: cowardly refusing to save to a terminal")


def test_load_and_import_refuse_a_terminal_and_missing_files(shell):
    assert shell("load", stdin=b"", stdin_is_tty=True) == 1
    assert "stdin is a terminal" in shell.err
    assert shell("load", "-i", "/nonexistent/x.tar") == 1
    assert shell.err.startswith("wharf: open /nonexistent/x.tar: no such file or directory")


def test_ST10_a_hostile_name_can_not_drive_the_terminal(shell):
    shell.backend.containers.known[0] = type(shell.backend.containers.known[0])(
        config=shell.backend.containers.known[0].config,
        settings=type(shell.backend.containers.known[0].settings)(
            name="\x1b]0;x\x07\u202eweb", limits=shell.backend.containers.known[0].settings.limits
        ),
        state=shell.backend.containers.known[0].state,
    )
    shell("ps", out_is_tty=True)
    assert shell.out.replace("\n", "").isprintable()


def test_every_command_has_help_that_names_it(shell):
    from app.commands.tree import all_commands

    for path, command in all_commands():
        assert shell(*path.split(), "--help") == 0, path
        assert shell.out.startswith(f"Usage:  wharf {path}"), path
        for flag in command.flags:
            assert f"--{flag.name}" in shell.out or flag.hidden, (path, flag.name)


def test_groups_show_their_verbs(shell):
    assert shell("volume") == 0
    assert "  prune     Remove unused local volumes" in shell.out
    assert shell("--help") == 0
    assert "Management Commands:" in shell.out


def test_exit_codes_of_a_program_that_can_not_be_run(shell):
    def start(*_arguments, **_options):
        raise SandboxFailed('exec: "nonex": executable file not found in $PATH', stage="exec", errno=2, exit_code=127)

    shell.backend.containers.start = start
    assert shell("start", "-a", "old") == 127
    assert shell.err.startswith('wharf: exec: "nonex": executable file not found in $PATH')


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sto", ["stop"]),
        ("stop ", ["web"]),
        ("start ", ["old"]),
        ("rm -f ", ["old", "web"]),
        ("rm -f o", ["old"]),
        ("rename web ", []),
        ("container r", ["remove", "rename", "restart", "rm", "run"]),
        ("volume rm ", ["vol1", "vol2"]),
        ("rmi ", ["bb:latest", "other/n:3"]),
        ("run --net", ["--network", "--network-alias"]),
        ("run --network ", ["appnet", "bridge", "empty", "host", "none"]),
        ("run --network c", ["container:old", "container:web"]),
        ("network connect e", ["empty"]),
        ("network connect empty w", ["web"]),
        ("run --network=h", ["--network=host"]),
        ("run -it b", ["bb:latest"]),
        ("kill -s T", ["TERM"]),
        ("completion ", ["bash", "fish", "zsh"]),
        ("exec web sh --", []),
        ('rm "unclosed', []),
        ("nosuch x", []),
    ],
)
def test_completion(shell, line, expected):
    assert complete(line, shell.backend) == expected


def test_completion_scripts_and_manual_are_made(shell):
    for name in ("bash", "zsh", "fish"):
        assert shell("completion", name) == 0
        assert "__complete" in shell.out
    assert shell("completion", "tcsh") == 1
    assert shell("man") == 0
    assert shell.out.startswith(".TH WHARF 1")
