"""Looking at containers, from the command line (rows B1-B4, B8, B9)."""

from __future__ import annotations

import json
import re
import signal
import time

from tests.compat.targets import Cli, eventually


def test_B1_ps_has_dockers_seven_columns(cli: Cli):
    cli.start_sleeper("box")
    cli.ok(*cli.run_words("run", "-d", "--name", "done", "IMAGE", "sh", "-c", "exit 7"))
    eventually("it has ended", lambda: cli.status("done") == "exited")
    lines = cli.ok("ps", "-a").splitlines()
    assert re.split(r" {2,}", lines[0].strip()) == [
        *("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
    ]
    assert len(lines) == 3
    assert "Exited (7) " in lines[1] + lines[2]
    assert len(cli.ok("ps").splitlines()) == 2
    assert cli.ok("ps", "--format", "{{.Names}}|{{.Image}}|{{.State}}") == f"box|{cli.image}|running"


def test_B1_ids_only_for_scripts(cli: Cli):
    full = cli.start_sleeper("box")
    assert cli.ok("ps", "-aq") == full[:12]
    assert cli.ok("ps", "-a", "-q", "--no-trunc") == full
    cli.ok(*cli.run_words("create", "--name", "later", "IMAGE", "true"))
    assert cli.ok("ps", "-n", "1", "--format", "{{.Names}}") == "later"
    assert cli.ok("ps", "-l", "-q") != full[:12]
    assert cli.ok("ps", "-aq", "-f", "name=box") == full[:12]
    assert cli.ok("ps", "-aq", "-f", "status=created") == cli.ok("ps", "-lq")


def test_B2_images_has_dockers_five_columns(cli: Cli):
    lines = cli.ok("images").splitlines()
    assert re.split(r" {2,}", lines[0].strip()) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    repository, _, tag = cli.image.rpartition(":")
    assert re.split(r" {2,}", lines[1])[:2] == [repository, tag]
    assert cli.ok("images", "--format", "{{.Repository}}:{{.Tag}}") == cli.image
    assert re.fullmatch(r"[0-9a-f]{12}", cli.ok("images", "-q"))


def test_B3_inspect_answers_templates(cli: Cli):
    cli.ok("volume", "create", "vol1")
    full = cli.start_sleeper("box", "-v", "vol1:/data:ro", "-e", "A=b", "-m", "64m")
    assert cli.field("box", "{{ .State.Running }}") == "true"
    assert cli.field(full[:8], "{{.Id}}") == full
    assert cli.field("box", "{{range .Mounts}}{{.Name}} {{.Destination}} {{.RW}}{{end}}") == "vol1 /data false"
    assert "A=b" in json.loads(cli.field("box", "{{json .Config.Env}}"))
    assert cli.field("box", "{{.HostConfig.Memory}}") == str(64 * 1024**2)
    documents = json.loads(cli.ok("inspect", "box"))
    assert documents[0]["Config"]["Cmd"] == ["sleep", "1000"]
    cli.ok("stop", "-t", "0", "box")
    assert cli.field("box", "{{ .State.Running }} {{.State.ExitCode}}") == "false 137"
    missing = cli("inspect", "nosuch")
    assert missing.code != 0
    assert missing.out.strip() == "[]"


def test_B4_logs(cli: Cli):
    script = "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2"
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", script))
    eventually("it has ended", lambda: cli.status("box") == "exited")
    logs = cli("logs", "box")
    assert logs.out.splitlines() == [f"line {number}" for number in range(1, 6)]
    assert logs.err == "err\n"
    tail = cli("logs", "box", "--tail", "2")
    assert (tail.out + tail.err).splitlines()[-1] in ("line 5", "err")
    assert len((tail.out + tail.err).splitlines()) == 2
    assert cli("logs", "--tail", "0", "box") == (0, "", "")
    stamped = cli("logs", "-t", "box").out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(Z|[+-]\d\d:\d\d) line 1", stamped[0])
    assert cli("logs", "--since", "1h", "box").out == logs.out
    assert cli("logs", "--until", "1h", "box").out == ""


def test_B4_following_ends_with_the_container(cli: Cli):
    cli.ok(*cli.run_words("run", "-di", "--name", "box", "IMAGE", "sh", "-c", "echo first; read x; echo last"))
    follower = cli.spawn("logs", "-f", "--tail=10", "box")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"first\n"
    feeder = cli.spawn("attach", "box")
    assert feeder.stdin is not None
    feeder.stdin.write(b"go\n")
    feeder.stdin.flush()
    assert follower.stdout.read() == b"last\n"
    assert follower.wait(30) == 0


def test_B4_an_interrupted_follower_leaves_the_container_running(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", "echo up; sleep 1000"))
    follower = cli.spawn("logs", "-f", "box")
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"up\n"
    follower.send_signal(signal.SIGINT)
    follower.wait(30)
    assert cli.status("box") == "running"


def test_B8_top_shows_what_ps_shows(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "IMAGE", "sh", "-c", "sleep 998 & sleep 999"))
    eventually("both are there", lambda: len(cli.ok("top", "box").splitlines()) >= 3)
    lines = cli.ok("top", "box").splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert any("sleep 998" in line for line in lines)
    if cli.name != "podman":  # its descriptors are spelled otherwise
        lines = cli.ok("top", "box", "-o", "pid,args").splitlines()
        assert lines[0].split() == ["PID", "COMMAND"]
        assert int(lines[1].split()[0]) > 1


def test_B8_stats_counts_what_the_kernel_counts(cli: Cli):
    eater = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); while :; do :; done"
    cli.ok(*cli.run_words("run", "-d", "--name", "box", "-m", "256m", "IMAGE", "sh", "-c", eater))
    time.sleep(3)
    layout = "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}"
    name, cpu, memory, percent, _, _, pids = cli.ok("stats", "--no-stream", "--format", layout, "box").split("|")
    assert name == "box"
    assert 10 < float(cpu.rstrip("%")) < 130  # others may want the processors too
    used, _, limit = memory.partition(" / ")
    assert limit in ("256MiB", "268.4MB")
    assert used.endswith(("MiB", "MB"))
    assert 18 < float(used.rstrip("MiB")) < 120
    assert 7 < float(percent.rstrip("%")) < 50
    assert pids == "1"


def test_B9_diff_names_what_changed(cli: Cli):
    script = "echo x >/etc/new; rm /etc/group; echo y >>/etc/passwd; mkdir /made; chmod 711 /root"
    cli.ok(*cli.run_words("run", "--name", "box", "IMAGE", "sh", "-c", script))
    changes = set(cli.ok("diff", "box").splitlines())
    assert {"C /etc", "A /etc/new", "D /etc/group", "C /etc/passwd", "A /made", "C /root"} <= changes
    assert not any(line.endswith(("/etc/hosts", "/etc/resolv.conf", "/dev")) for line in changes) or cli.name != "wharf"
