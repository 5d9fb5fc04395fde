"""What keeps containers from the host: privileges to set it up, filters, namespaces, security modules."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.host.subordinate import default_map
from core.linux import caps, mounts
from core.model.host_report import HostFeature

_NEEDED = ("CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_CHROOT").split()
_PATIENCE_S = 5.0


def isolation_features() -> Iterator[HostFeature]:
    """Privileges first: without them the rest is of no use."""
    yield _privileges()
    yield from _capabilities()
    yield _seccomp()
    yield _user_namespaces()
    yield _idmapped_mounts()
    yield _security_module()


def _privileges() -> HostFeature:
    if os.geteuid() == 0:
        return HostFeature(name="privileges", standing="ok", found="root")
    return HostFeature(
        name="privileges",
        standing="missing",
        found=f"user {os.geteuid()}",
        consequence="no container starts: mounts, namespaces and control groups are root's to make",
        remedy="sudo wharf …",
    )


def _capabilities() -> Iterator[HostFeature]:
    """What root may do here: the bounding set is what sudo could give, the effective one what we have."""
    mask = caps.read_mask("CapEff" if os.geteuid() == 0 else "CapBnd")
    known = {name for name, number in caps.CAPABILITIES.items() if number <= caps.last_capability()}
    lacking = sorted(name for name in known if not mask >> caps.CAPABILITIES[name] & 1)
    if needed := [name for name in lacking if name in _NEEDED]:
        yield HostFeature(
            name="capabilities",
            standing="missing",
            found=f"root lacks {', '.join(needed)}",
            consequence="no container starts: this root may not do what that takes",
            remedy="give this machine's or container's root these capabilities",
        )
    elif lacking:
        consequence = f"--privileged and --cap-add give containers no {', '.join(lacking)}"
        if "SYS_RESOURCE" in lacking:
            consequence += "; hard limits can't be raised, and oom scores not be lowered"
        yield HostFeature(
            name="capabilities",
            standing="warning",
            found=f"all but {', '.join(lacking)}",
            consequence=consequence,
            remedy="start this machine with them, if it is a container or a confined guest",
        )
    else:
        yield HostFeature(name="capabilities", standing="ok", found="all")


def _seccomp() -> HostFeature:
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        actions = []
    if "errno" in actions:
        return HostFeature(name="seccomp", standing="ok", found="filters work")
    return HostFeature(
        name="seccomp",
        standing="missing",
        found="this kernel has no filters",
        consequence="no container starts, save with --security-opt seccomp=unconfined",
        remedy="boot a kernel with CONFIG_SECCOMP_FILTER",
    )


def _in_user_namespace() -> subprocess.Popen[bytes]:
    """A process in a user namespace of its own, which ends when its input does."""
    return subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "sh", "-c", "echo; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _user_namespaces() -> HostFeature:
    name = "user namespaces"
    try:
        most = int(Path("/proc/sys/user/max_user_namespaces").read_text())
    except (OSError, ValueError):
        most = -1
    if most <= 0:
        lacks = most < 0
        return HostFeature(
            name=name,
            standing="warning",
            found="this kernel has none" if lacks else "none may be made",
            consequence="--userns=remap is refused: a container's root is the host's, with less rights",
            remedy="boot a kernel with CONFIG_USER_NS" if lacks else "sysctl -w user.max_user_namespaces=15000",
        )
    try:
        with _in_user_namespace() as process:
            _, complaint = process.communicate(timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return HostFeature(name=name, standing="note", found=f"could not be tried: {error}")
    if process.returncode:
        return HostFeature(
            name=name,
            standing="warning" if os.geteuid() == 0 else "note",
            found=f"refused: {complaint.decode(errors='replace').strip()[:200]}",
            consequence="--userns=remap is refused",
            remedy="sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
        )
    uid, _, size = default_map()
    return HostFeature(name=name, standing="ok", found=f"up to {most}; remapped ids are {uid} to {uid + size - 1}")


def _lines(path: str) -> list[bytes]:
    try:
        return Path(path).read_bytes().splitlines()
    except OSError:
        return []


def _idmapped_mounts() -> HostFeature:
    """Really make one, detached, of the root file system."""
    name = "idmapped mounts"
    if os.geteuid() != 0:
        return HostFeature(name=name, standing="note", found="tried as root only")
    try:
        with _in_user_namespace() as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                _make_idmapped(process.pid)
            finally:
                process.communicate(timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        text = error.strerror if isinstance(error, OSError) else "no answer"
        return HostFeature(
            name=name,
            standing="note",
            found=f"not on this file system ({text})",
            consequence="with --userns=remap an image's files are copied, once for each map, to change their owners",
            remedy="a kernel of 5.12 or later, and the data root on ext4, xfs or btrfs",
        )
    return HostFeature(name=name, standing="ok", found="a container's ids can be shifted without a copy")


def _make_idmapped(pid: int) -> None:
    namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        tree = mounts.open_tree("/")
        try:
            mounts.set_attributes(tree, mounts.MOUNT_ATTR_IDMAP, user_namespace=namespace)
        finally:
            os.close(tree)
    finally:
        os.close(namespace)


def _security_module() -> HostFeature:
    apparmor = _lines("/sys/module/apparmor/parameters/enabled") == [b"Y"]
    if apparmor:
        return HostFeature(name="security module", standing="ok", found="AppArmor")
    if Path("/sys/fs/selinux/enforce").exists():
        return HostFeature(name="security module", standing="ok", found="SELinux")
    return HostFeature(
        name="security module",
        standing="note",
        found="neither AppArmor nor SELinux",
        consequence="containers are held by namespaces, capabilities, seccomp and masked paths alone",
        remedy="boot with apparmor=1 security=apparmor, where the kernel has it",
    )
