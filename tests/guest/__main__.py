"""`python -m tests.guest [pytest arguments]`: the kernel and security tests on a machine with cgroup v2 only.

With --short alone it is the tests of what that machine does otherwise than one with version 1: control
groups, the device filter, limits, mounts of another kernel. With --reboot alone it is a reboot that is
tested: reboot.py. With --systemd alone it is that, and the journal, on a machine that systemd runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.guest.image import PACKAGES, PROJECT, SYSTEMD_PACKAGES, GuestError, project_drive, read_result, root_image
from tests.guest.machine import boot

DEFAULT_TESTS = ("tests/kernel", "tests/security")
SAME_EVERYWHERE = ("--ignore=tests/security/test_archives.py",)
"""Hostile archives are taken apart alike on any kernel, and emulation makes their sizes hours."""
SHORT = (
    *(
        f"tests/kernel/test_{name}.py"
        for name in ("cgroups", "doctor", "limit_files", "limits", "network_volumes", "overlay")
    ),
    "tests/kernel/test_published_ports.py::test_E1_a_published_sctp_port_carries_a_conversation",
    *(f"tests/security/test_{name}.py" for name in ("filesystem", "resources", "user_namespaces")),
)
_TIMEOUT_S = float(os.environ.get("WHARF_GUEST_TIMEOUT_S", "2400"))


def main(arguments: list[str]) -> int:
    """Run the guest; pytest's exit code, or 3 if it never got that far."""
    if os.geteuid() != 0:
        print("the guest's file system is made by debootstrap, which needs root: run it with sudo", file=sys.stderr)
        return 3
    if arguments == ["--short"]:
        arguments = ["-q", *SHORT]
    wanted = arguments or ["-q", *SAME_EVERYWHERE, *(name for name in DEFAULT_TESTS if (PROJECT / name).is_dir())]
    try:
        with tempfile.TemporaryDirectory(prefix="wharf-guest-", dir="/var/tmp") as name:
            directory = Path(name)
            has_systemd = wanted == ["--systemd"]
            root = root_image(SYSTEMD_PACKAGES if has_systemd else PACKAGES)
            drive = project_drive(directory, wanted)
            init = "/lib/systemd/systemd" if has_systemd else "/guest-init"
            boot(root, drive, timeout_s=_TIMEOUT_S, reboots=has_systemd or wanted == ["--reboot"], init=init)
            code = read_result(drive, "code", directory).strip()
    except GuestError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 3
    if not code.isdigit():
        print("guest: it ended before the tests did: see its console above", file=sys.stderr)
        return 3
    print(f"guest: pytest ended with {code}", flush=True)
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
