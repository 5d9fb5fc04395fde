"""`python -m tests.compat [docker] [podman]`: prove the command tests on the peers."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.compat.targets import PROJECT


def main(names: list[str]) -> int:
    """Run them; pytest's exit code. A peer that is not installed is an error, not a silence."""
    names = names or ["docker", "podman"]
    missing = [name for name in names if not shutil.which("dockerd" if name == "docker" else name)]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 3
    os.environ["WHARF_TEST_TARGETS"] = ",".join(names)
    tests = sorted(str(path) for path in (PROJECT / "tests/e2e").glob("test_commands*.py"))
    return int(pytest.main(["-q", *tests]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
