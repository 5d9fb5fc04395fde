"""QEMU: one boot of the guest, its console on our output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.guest.image import GuestError, kernel


def boot(root: Path, project: Path, *, timeout_s: float, reboots: bool = False, init: str = "/guest-init") -> None:
    """Run the guest until it powers off; what its console says is printed as it comes.

    Args: root: its root file system, left unchanged. project: the drive that it may write to.
        reboots: whether a reboot boots again (what it wrote to its root is kept so long) instead of ending.
        init: its first process.
    Raises: GuestError: QEMU is missing, or the guest did not end in time.
    """
    image, initrd, _ = kernel()
    command = [
        *("qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "3072", "-smp", "2", "-accel", "tcg,thread=multi"),
        *("-kernel", str(image), "-initrd", str(initrd)),
        *("-drive", f"file={root},if=virtio,format=raw,snapshot=on"),
        *("-drive", f"file={project},if=virtio,format=raw"),
        *("-append", f"console=ttyS0 root=/dev/vda rw init={init} cgroup_no_v1=all quiet panic=-1"),
        *("-nographic", "-nic", "none"),
        *(() if reboots else ("-no-reboot",)),
    ]
    try:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stdout, stderr=sys.stderr)
    except FileNotFoundError:
        raise GuestError("qemu-system-x86_64 is not installed: apt-get install qemu-system-x86") from None
    try:
        if machine.wait(timeout_s) != 0:
            raise GuestError("QEMU failed: see what it said above")
    except subprocess.TimeoutExpired:
        raise GuestError(f"the guest has not ended after {timeout_s:.0f} s") from None
    finally:
        machine.kill()
        machine.wait()
