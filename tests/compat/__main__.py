"""`python -m tests.compat`: side by side with the peers, and the command tests proven on them.

Name peers (`docker`, `podman`) to run the command tests on those only, `beside` for the rest only.
"""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.compat.targets import PROJECT

BESIDE = ("beside.py", "lists.py", "archives.py", "removals.py", "networks.py", "firewall.py")


def main(names: list[str]) -> int:
    """Run them; pytest's exit code. A peer that is not installed is an error, not a silence."""
    names = names or ["beside", "docker", "podman"]
    missing = [program for program in ("dockerd", "docker", "podman", "runc") if not shutil.which(program)]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 3
    code = 0
    if "beside" in names:
        names.remove("beside")
        code = int(pytest.main(["-q", *(str(PROJECT / "tests/compat" / name) for name in BESIDE)]))
    if names:
        os.environ["WHARF_TEST_TARGETS"] = ",".join(names)
        tests = sorted(str(path) for path in (PROJECT / "tests/e2e").glob("test_commands*.py"))
        code = int(pytest.main(["-q", *tests])) or code
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
