"""How long a container takes: start to exit of `true`, as a whole command, and exec."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench.machines import Machines
from tests.bench.measures import Row, in_turns, milliseconds
from tests.compat.targets import Cli


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """Networks: ours none (the default), the peers' the host's, which costs them least."""
    clis = machines.command_lines

    def run(cli: Cli) -> Callable[[], object]:
        words = cli.run_words("run", "--rm", "IMAGE", "true")
        return lambda: cli.ok(*words)

    whole = {name: run(cli) for name, cli in clis.items()}
    inside: dict[str, Callable[[], object]] = {"wharf": lambda: machines.engine.run("true")}
    inside |= {f"{name} CLI": action for name, action in whole.items() if name != "wharf"}
    inside |= {name: runtime.run for name, runtime in machines.runtimes.items()}
    yield milliseconds(
        "start to exit of true, engine in process", in_turns(inside, rounds), goal=">= 15x docker's CLI, ahead of crun"
    )
    yield milliseconds("run --rm true, the whole command", in_turns(whole, rounds), goal="docker >= 2x")
    for cli in clis.values():
        cli.start_sleeper("bench")

    def execute(cli: Cli) -> Callable[[], object]:
        return lambda: cli.ok("exec", "bench", "true")

    commands = {name: execute(cli) for name, cli in clis.items()}
    both: dict[str, Callable[[], object]] = {"wharf": lambda: machines.engine.exec("bench", "true")}
    both |= {f"{name} CLI": action for name, action in commands.items() if name != "wharf"}
    yield milliseconds("exec true, engine in process", in_turns(both, rounds), goal="docker >= 5x")
    yield milliseconds("exec true, the whole command", in_turns(commands, rounds))
    yield milliseconds(
        "ps, the whole command", in_turns({n: lambda cli=c: cli.ok("ps") for n, c in clis.items()}, rounds)
    )
    for cli in clis.values():
        cli.clean()
