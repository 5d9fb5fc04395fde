"""What pull, push, run, login and logout print, beside docker on the same registries, line by line (rows A1, G2)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, Docker, Done
from tests.e2e.settled import SettledWharf
from tests.registries import (  # noqa: F401 - fixtures
    PASSWORD,
    USERNAME,
    RunningRegistry,
    locked_registry,
    registry,
)
from tests.registry.conftest import other  # noqa: F401 - fixture
from tests.registry.test_real_registries import Notary, notarized  # noqa: F401 - fixture

_MASKS = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "DIGEST"),
    (re.compile(r"^[0-9a-f]{12}: "), "LAYER: "),
    (re.compile(r"size: \d+"), "size: N"),
    (re.compile(r"'/var/tmp/[^']*/config\.json'"), "'CONFIG'"),
    (re.compile(r"^(wharf|docker): "), ""),
    (re.compile(r"^Error response from daemon: "), ""),
    (re.compile(r"'(wharf|docker) "), "'CLI "),
    (re.compile(r"made-by-\w+"), "MADE"),
    (re.compile(r'^Head "'), 'Get "'),
)
_MAY_BE_MISSED = ("LAYER: Waiting", "LAYER: Verifying Checksum", "LAYER: Download complete")
"""Docker leaves these out now and then, when a layer is there before it has said so."""


class MirroredDocker(Docker):
    """A dockerd that asks a mirror first, and keeps its logins in its own directory."""

    def __init__(self, mirror: str) -> None:
        self.network_options = (*Docker.network_options, "--registry-mirror", mirror)
        super().__init__()
        self.env["DOCKER_CONFIG"] = str(self.directory / "config")


@pytest.fixture(scope="module")
def both(registry: RunningRegistry) -> Iterator[tuple[Cli, Cli]]:  # noqa: F811
    if not (shutil.which("docker") and shutil.which("dockerd")):
        pytest.skip("docker is not installed: apt-get install docker.io")
    wharf, docker = SettledWharf(), MirroredDocker(registry.url)
    try:
        yield wharf, docker
    finally:
        wharf.clean()
        wharf.close()
        docker.close()


def shown(done: Done) -> tuple[int, list[str], list[str]]:
    """Code and lines, without what differs from run to run, and without our hints below a refusal."""
    out, err = (_masked(text) for text in (done.out, done.err))
    if done.code and err:
        refusal = next((at for at, line in enumerate(err) if not line.startswith(("WARNING", "Unable", "Using"))), 0)
        err = [line for line in err[: refusal + 1] if line]
    return done.code, out, err


def _masked(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        for pattern, replacement in _MASKS:
            line = pattern.sub(replacement, line)
        if line not in _MAY_BE_MISSED:
            found.append(line.rstrip())
    return found


def test_A1_G2_the_same_lines_and_codes_as_docker_on_the_same_registries(
    both: tuple[Cli, Cli],
    registry: RunningRegistry,  # noqa: F811
    locked_registry: RunningRegistry,  # noqa: F811
):
    wharf, docker = both
    assert isinstance(wharf, SettledWharf)
    open_, locked = f"{registry.host}/same", locked_registry.host
    zeros = "sha256:" + "0" * 64
    lines: list[list[str]] = [
        ["push", f"{open_}/never:1"],
        ["push", f"{open_}/never"],
        ["push", "-a", f"{open_}/never"],
        ["push", "-a", f"{open_}/never:1"],
        ["push", f"x@{zeros}"],
        ["tag", "IMAGE", f"{registry.host}/library/MINE"],
        ["tag", "IMAGE", f"{registry.host}/library/MINE:two"],
        ["push", f"{registry.host}/library/MINE"],
        ["push", f"{registry.host}/library/MINE"],
        ["push", "-q", f"{registry.host}/library/MINE:two"],
        ["push", "-a", f"{registry.host}/library/MINE"],
        ["rmi", f"{registry.host}/library/MINE", f"{registry.host}/library/MINE:two"],
        ["SETTINGS"],
        ["run", "OPTIONS", "--rm", "OTHER", "/bin/busybox", "echo", "x"],
        ["run", "OPTIONS", "--rm", "--pull", "always", "OTHER", "/bin/busybox", "echo", "x"],
        ["run", "OPTIONS", "--rm", "--pull", "never", "OTHER:two", "true"],
        ["run", "OPTIONS", "--rm", "--pull", "sometimes", "OTHER:two", "true"],
        ["run", "OPTIONS", "--rm", "-q", "OTHER:two", "/bin/busybox", "echo", "x"],
        ["pull", "OTHER"],
        ["pull", "-q", "OTHER"],
        ["pull", "-a", "OTHER"],
        ["pull", "-a", "OTHER:two"],
        ["pull", f"{open_}/nothing"],
        ["pull", f"{open_}/nothing@{zeros}"],
        ["run", "OPTIONS", "--rm", f"{open_}/nothing:5", "true"],
        ["pull"],
        ["tag", "OTHER", f"{locked}/same/x:1"],
        ["push", f"{locked}/same/x:1"],
        ["pull", f"{locked}/same/x:1"],
        ["login", "-u", USERNAME, "-p", "wrong", locked],
        ["login", "--password-stdin", locked],
        ["login", "-u", USERNAME, "-p", "x", "--password-stdin", locked],
        ["login", "-u", USERNAME, "-p", PASSWORD, f"http://{locked}/v1/"],
        ["login", "-u", USERNAME, "-p", PASSWORD, locked],
        ["push", f"{locked}/same/x:1"],
        ["rmi", f"{locked}/same/x:1"],
        ["pull", f"{locked}/same/x:1"],
        ["logout", locked],
        ["login", "a", "b"],
        ["search", "--limit", "200", "x"],
        ["search", "-f", "a", "x"],
    ]
    different = []
    for line in lines:
        if line == ["SETTINGS"]:
            wharf.settings({"registry-mirrors": [registry.url]})
            continue
        seen = []
        for cli in (wharf, docker):
            mine, theirs = (f"made-by-{name}" for name in (cli.name, (docker if cli is wharf else wharf).name))
            words = [cli.image if word == "IMAGE" else word for word in line]
            words = [word.replace("MINE", mine).replace("OTHER", theirs) for word in words]
            if "OPTIONS" in words:
                words[1:2] = cli.run_options
            seen.append(shown(cli(*words)))
        if seen[0] != seen[1]:
            different.append((" ".join(line), *seen))
    assert not different, "\n".join(f"{line}\n  wharf:  {ours}\n  docker: {theirs}" for line, ours, theirs in different)
    assert os.listdir(wharf.config.parent) == ["config.json"]


def test_G2_who_may_look_but_not_write_is_denied_in_dockers_words(
    both: tuple[Cli, Cli],
    notarized: tuple[RunningRegistry, Notary],  # noqa: F811
):
    name = f"{notarized[0].host}/quay/x:1"  # it lets everybody read
    seen = []
    for cli in both:
        cli.ok("tag", cli.image, name)
        seen.append(shown(cli("push", name)))
    assert seen[0] == seen[1]
    assert seen[0][2] == ["denied: requested access to the resource is denied"]


def test_G2_who_has_logged_in_with_one_is_logged_in_with_the_other(
    both: tuple[Cli, Cli],
    locked_registry: RunningRegistry,  # noqa: F811
):
    host = locked_registry.host
    for first, second in (both, both[::-1]):
        own = second.env["DOCKER_CONFIG"]
        name = f"{host}/login/of-{first.name}:1"
        first.ok("login", "-u", USERNAME, "--password-stdin", host, stdin=PASSWORD.encode())
        second.ok("tag", second.image, name)
        second.env["DOCKER_CONFIG"] = first.env["DOCKER_CONFIG"]
        try:
            second.ok("push", "-q", name)
            second.ok("logout", host)
            first.ok("tag", first.image, name)
            assert "no basic auth credentials" in first("push", name).err
        finally:
            second.env["DOCKER_CONFIG"] = own
