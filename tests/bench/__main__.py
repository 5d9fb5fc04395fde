"""Run the benches named on the command line, or all of them."""

from __future__ import annotations

import os
import platform
import sys

from tests.bench import console, flows, starts
from tests.bench.measure import show
from tests.bench.peers import Peers

BENCHES = {
    "start": starts.start_to_exit,
    "command": starts.whole_command,
    "exec": starts.exec_true,
    "many": starts.many,
    "logs": flows.logs,
    "images": flows.images,
    "console": console.console,
}


def main(names: list[str]) -> int:
    """Exit code 0 when every named bench ran."""
    if os.geteuid() != 0:
        print("the benches start containers, which needs root: run them with sudo", file=sys.stderr)
        return 2
    if unknown := sorted(set(names) - set(BENCHES)):
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    peers = Peers()
    try:
        print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
        print(f"{peers.version_line()}\n", flush=True)
        for name in names or BENCHES:
            for row in BENCHES[name](peers):
                show(row)
    finally:
        peers.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
