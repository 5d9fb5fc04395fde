"""Rows A1 (with images that are here) and I14: a command in a container, in the foreground and in pipelines."""

from __future__ import annotations

from tests.compat.targets import Cli


def test_A1_run_of_an_image_that_is_here_prints_what_its_command_prints(cli: Cli):
    done = cli(*cli.run_words("run", "IMAGE", "sh", "-c", "echo x; echo y >&2; exit 3"))
    assert (done.out, done.err.splitlines()[-1], done.code) == ("x\n", "y", 3)
    assert cli.ok("ps", "-aq", "--filter", "exited=3") != ""


def test_A1_run_of_an_image_that_is_nowhere_says_so_and_leaves_nothing(cli: Cli):
    done = cli("run", "--name", "box", "127.0.0.1:1/nowhere:1", "true")
    assert done.code == 125
    assert "127.0.0.1:1/nowhere:1" in done.err
    if cli.name != "podman":
        assert done.err.startswith("Unable to find image '127.0.0.1:1/nowhere:1' locally\n")
    assert cli.ok("ps", "-aq") == ""


def test_I14_rm_containers_with_quotas_work_as_steps_of_a_pipeline(cli: Cli):
    quota = ("-i", "--rm", "-m", "32m", "--pids-limit", "20")
    numbers = "".join(f"{n}\n" for n in range(1000, 0, -1)).encode()
    first = cli(*cli.run_words("run", *quota, "IMAGE", "sort", "-n"), stdin=numbers)
    assert first.code == 0
    second = cli(*cli.run_words("run", *quota, "IMAGE", "sh", "-c", "tail -n 1; exit 7"), stdin=first.out.encode())
    assert (second.out, second.code) == ("1000\n", 7)
    assert cli.ok("ps", "-aq") == ""
