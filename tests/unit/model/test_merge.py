"""An image's config and a wish become a process: docker's rules, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidSpec
from core.model.container import ContainerSpec
from core.model.image import ImageConfig
from core.model.merge import merge, process_environment
from core.model.mounts import MountSpec


def spec(**wish: Any) -> ContainerSpec:
    return ContainerSpec(image="i", **wish)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "wished_entrypoint", "command", "argv"),
    [
        ((), ("c",), None, (), ("c",)),
        ((), ("c",), None, ("x", "y"), ("x", "y")),
        (("e",), ("c",), None, (), ("e", "c")),
        (("e",), ("c",), None, ("x",), ("e", "x")),
        (("e",), ("c",), ("n",), (), ("n",)),
        (("e",), ("c",), ("n",), ("x",), ("n", "x")),
        (("e",), ("c",), (), ("x",), ("x",)),
        (("e",), (), None, (), ("e",)),
    ],
)
def test_D3_entry_points_and_commands_combine_as_docker_combines_them(
    entrypoint: tuple[str, ...],
    cmd: tuple[str, ...],
    wished_entrypoint: tuple[str, ...] | None,
    command: tuple[str, ...],
    argv: tuple[str, ...],
) -> None:
    merged = merge(ImageConfig(entrypoint=entrypoint, cmd=cmd), spec(entrypoint=wished_entrypoint, command=command))
    assert merged.entrypoint + merged.command == argv


@pytest.mark.parametrize("wish", [{}, {"entrypoint": ()}])
def test_no_command_at_all_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec, match="no command specified"):
        merge(ImageConfig(cmd=("c",) if wish else ()), spec(**wish))


def test_environment_of_the_wish_wins_and_comes_first() -> None:
    merged = merge(ImageConfig(cmd=("c",), env=("A=image", "B=image", "C=")), spec(env=("B=wish", "D=wish")))
    assert merged.env == ("B=wish", "D=wish", "A=image", "C=")


def test_the_process_finds_defaults_that_the_config_overrides() -> None:
    assert process_environment(("A=1", "PATH=/x", "HOME=/y"), hostname="h", tty=True) == (
        "PATH=/x",
        "HOSTNAME=h",
        "TERM=xterm",
        "A=1",
        "HOME=/y",
    )
    assert process_environment(("TERM", "A=1", "A=2"), hostname="h", tty=True)[1:] == ("HOSTNAME=h", "A=2")
    assert process_environment((), hostname="h", tty=False)[1:] == ("HOSTNAME=h",)


def test_labels_join_and_the_wish_wins() -> None:
    merged = merge(ImageConfig(cmd=("c",), labels={"a": "1", "b": "1"}), spec(labels={"b": "2"}))
    assert merged.labels == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("image", "wish", "expected"),
    [("", "", ""), ("/srv", "", "/srv"), ("/srv", "/x/../y", "/y"), ("srv", "", "/srv"), ("", "//a//b/", "/a/b")],
)
def test_working_directories(image: str, wish: str, expected: str) -> None:
    assert merge(ImageConfig(cmd=("c",), working_dir=image), spec(working_dir=wish)).working_dir == expected


def test_a_relative_working_directory_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="needs to be an absolute path"):
        merge(ImageConfig(cmd=("c",)), spec(working_dir="srv"))


def test_user_and_stop_signal_of_the_wish_win() -> None:
    image = ImageConfig(cmd=("c",), user="1000:5", stop_signal="SIGINT")
    assert (merge(image, spec()).user, merge(image, spec()).stop_signal) == ("1000:5", "SIGINT")
    assert merge(image, spec(user="0", stop_signal="9")).user == "0"
    assert merge(image, spec(user="0", stop_signal="9")).stop_signal == "9"


def test_F2_volumes_of_the_image_become_anonymous_unless_something_is_mounted_there() -> None:
    bind = MountSpec(kind="bind", source="/h", target="/a")
    merged = merge(ImageConfig(cmd=("c",), volumes=("/a", "b/", "/b", "/c")), spec(mounts=(bind,)))
    assert merged.mounts == (
        bind,
        MountSpec(kind="volume", target="/b", given_by="image"),
        MountSpec(kind="volume", target="/c", given_by="image"),
    )


def test_two_mounts_on_one_target_are_refused() -> None:
    mount = MountSpec(kind="tmpfs", target="/a")
    with pytest.raises(InvalidSpec, match="duplicate mount point: /a"):
        merge(ImageConfig(cmd=("c",)), spec(mounts=(mount, mount)))
    with pytest.raises(InvalidSpec, match="can't be '/'"):
        merge(ImageConfig(cmd=("c",), volumes=("/",)), spec())


def test_ST7_what_an_image_exposes_comes_in_one_form_or_not_at_all() -> None:
    """Others count on a number and a protocol: -P, links, PORTS."""
    ports = (
        "80-82/TCP",
        "53/udp",
        "443",
        "abc/tcp",
        "99999/tcp",
        "80/foo",
        "",
        "1-70000",
        "\n9/tcp",
        "0/tcp",
        "9-8/tcp",
    )
    merged = merge(ImageConfig(cmd=("c",), exposed_ports=ports), spec())
    assert merged.exposed_ports == ("443/tcp", "53/udp", "80/tcp", "81/tcp", "82/tcp")
