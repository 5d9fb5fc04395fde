"""The program's first words: options in front of the command, and who may go on."""

import os
import sys

import pytest

from app.main import EngineOnDemand, main, read_global_options
from core.errors import Denied, InvalidInput


def test_options_in_front_of_the_command_are_ours_and_the_rest_its_own(monkeypatch):
    monkeypatch.setenv("WHARF_ROOT", "/from/env")
    options, words = read_global_options(["--run-root=/run/x", "--debug", "ps", "--root", "x"])
    assert (options.root, options.run_root, options.debug) == ("/from/env", "/run/x", True)
    assert words == ["ps", "--root", "x"]
    options, _ = read_global_options(["--root", "/given", "ps"])
    assert options.root == "/given"


@pytest.mark.parametrize("words", [["--nonsense"], ["--root"], ["--root="], ["-x", "ps"]])
def test_wrong_options_are_refused(words):
    with pytest.raises(InvalidInput):
        read_global_options(words)


def test_without_root_the_command_to_type_is_named(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["/opt/w/bin/wharf", "run", "--name", "a b", "img"])
    with pytest.raises(Denied) as refusal:
        _ = EngineOnDemand("", "").containers
    assert refusal.value.hint == "type: sudo /opt/w/bin/wharf run --name 'a b' img"


def test_registries_are_asked_without_root_and_without_an_engine(monkeypatch, tmp_path, capfdbinary):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert main(["--root", str(tmp_path / "data"), "registry", "tags", "127.0.0.1:9/x"]) == 1
    assert b"connection refused" in capfdbinary.readouterr().err
    assert main(["logout", "a.io"]) == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, "wharf version "),
        (["--help"], 0, "Usage:  wharf [OPTIONS] [COMMAND]"),
        (["--help", "rm"], 0, "Usage:  wharf rm [OPTIONS] CONTAINER"),
        (["help", "volume", "ls"], 0, "Usage:  wharf volume ls"),
        (["--nonsense"], 125, "wharf: unknown flag: --nonsense"),
        (["ps"], 1, "only root may touch"),
        ([], 1, "only root may touch"),
    ],
)
def test_what_needs_no_root_works_without(monkeypatch, capfdbinary, words, code, said):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(words) == code
    out, err = capfdbinary.readouterr()
    assert said in (out + err).decode()
