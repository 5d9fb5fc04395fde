"""The rules that keep the whole safe (core/README.md), checked on the code itself."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
INSIDE = ("core/monitor/", "core/trees/", "core/linux/")
"""Where processes live that are one-threaded and may change what the engine's must not."""

_PROCESS_WIDE = {
    *("fork", "forkpty", "setns", "unshare", "chroot", "chdir", "fchdir", "umask", "pivot_root"),
    *("setuid", "setgid", "seteuid", "setegid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups"),
    *("mount", "umount2"),
}
_BOUNDARIES = {
    "app/main.py",
    "core/monitor/spawner.py",
    "core/monitor/init.py",
    "core/monitor/exec.py",
    "core/trees/worker.py",
}
"""The tops of processes: the only places where any failure at all may be caught and kept."""

_NOUNLESS = {"utils", "util", "helpers", "helper", "managers", "manager", "base", "common", "misc"}


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield str(path.relative_to(PROJECT)), ast.parse(path.read_text())


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_rule_1_the_engines_process_never_changes_itself():
    found = []
    for name, tree in modules("app", "core"):
        if name.startswith(INSIDE):
            continue
        for function, call in calls(tree):
            if function.startswith(("os.", "posix.", "libc.")) and function.rpartition(".")[2] in _PROCESS_WIDE:
                found.append(f"{name}: {function}")
            if any(keyword.arg == "preexec_fn" for keyword in call.keywords):
                found.append(f"{name}: preexec_fn")
    assert found == []


def test_rule_6_nothing_is_extracted_by_tarfile():
    found = [
        f"{name}: {function}"
        for name, tree in modules("app", "core")
        for function, _ in calls(tree)
        if function.endswith((".extractall", ".extract"))
    ]
    assert found == []


def test_failures_are_caught_whole_only_at_the_top_of_a_process():
    found = []
    for name, tree in modules("app", "core"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or name in _BOUNDARIES:
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            if caught in ("everything", "Exception", "BaseException") and not reraises:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_every_module_is_named_after_what_it_holds():
    names = [path for folder in ("app", "core") for path in (PROJECT / folder).rglob("*.py")]
    assert [str(path) for path in names if path.stem in _NOUNLESS] == []


def test_no_merge_has_left_its_marks():
    marks = re.compile(r"^(<<<<<<< |>>>>>>> )", re.MULTILINE)
    files = [path for folder in ("app", "core", "themes", "tests", ".ci") for path in (PROJECT / folder).rglob("*")]
    files += [path for path in PROJECT.iterdir() if path.suffix in (".md", ".toml")]
    texts = [path for path in files if path.suffix in (".py", ".md", ".toml", ".sh", ".c", "") and path.is_file()]
    assert [str(path) for path in texts if marks.search(path.read_text(errors="replace"))] == []


def test_nothing_is_left_to_do_and_nothing_speaks_of_where_it_was_written():
    pattern = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = []
    for folder in ("app", "core", "themes"):
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".toml", ".tcss"):
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    if pattern.search(line):
                        found.append(f"{path.relative_to(PROJECT)}:{number}: {line.strip()}")
    assert found == []


HEAVY = (
    *("textual", "rich", "asyncio", "psutil", "pyroute2", "humanize", "argparse", "typing_extensions", "email"),
    *("urllib3", "ssl"),
)


def loaded(code: str, *flags: str) -> set[str]:
    """The modules that a fresh interpreter has after some code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, *flags, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "line",
    ["version", "run --help", "ps --nonsense", "--version"],
)
def test_a_plain_command_loads_nothing_heavy(line):
    got = loaded(f"from app.main import main\nmain({line.split()!r})")
    assert got.isdisjoint(HEAVY), sorted(got.intersection(HEAVY))
    assert not any(name.startswith(("core.engine", "core.images")) for name in got)


def test_the_engine_for_a_command_loads_nothing_heavy():
    got = loaded(
        "import app.quick; app.quick.prepare(); import app.commands.run, app.commands.streams, core.engine.engine"
    )
    assert got.isdisjoint(HEAVY), sorted(got.intersection(HEAVY))


@pytest.mark.parametrize(
    "module", ["core.monitor.spawner", "core.monitor.main", "core.monitor.exec", "core.trees.worker"]
)
def test_rule_6_what_runs_inside_knows_the_standard_library_alone(module):
    got = loaded(f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import {module}", "-I", "-S")
    ours = {name for name in got if name.partition(".")[0] in ("app", "core")}
    strangers = {name.partition(".")[0] for name in got - ours} - set(sys.stdlib_module_names) - {"__main__"}
    assert strangers == set()
    assert not any(name.startswith(("app", "core.engine", "core.backend")) for name in ours)
