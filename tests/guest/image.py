"""The guest's file systems: a cached Debian root, and a drive with the project for each run."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
PACKAGES = ("python3", "iproute2", "nftables", "iptables", "procps", "kmod", "busybox-static", "nfs-kernel-server")
SYSTEMD_PACKAGES = (*PACKAGES, "systemd", "systemd-sysv", "dbus")
GUEST_PYTHON = "3.11"
TEST_NEEDS = ("pytest", "pytest-timeout", "pytest-asyncio", "hypothesis")
_CARRIED = ("app", "core", "tests", "themes", "pyproject.toml")
_ROOT_SIZE = "1700M"
_DRIVE_SIZE = "256M"
_INIT = """\
#!/bin/sh
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t ext4 /dev/vdb /project
exec /bin/sh /project/inside.sh
"""
"""Process 1's first lines: what it does is carried by the other drive, so that this one can be kept."""
_UNIT = """\
[Unit]
After=basic.target wharf-restore.service

[Service]
Type=simple
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/sh -c 'mkdir -p /project; mount -t ext4 /dev/vdb /project; exec /bin/sh /project/systemd.sh'
"""
"""The same where systemd is process 1: a unit, which comes after the one that is to be tested."""


class GuestError(Exception):
    """The guest can't be made or run; the message says what to do."""


def run(*command: str, **options: object) -> str:
    """Run a program to its end; its output. Raises GuestError with what it complained about."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    except FileNotFoundError:
        raise GuestError(f"{command[0]} is not installed: apt-get install {_package_of(command[0])}") from None
    if done.returncode:
        raise GuestError(f"{' '.join(command[:3])} … failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return str(done.stdout)


def _package_of(program: str) -> str:
    return {"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "qemu-system-x86_64": "qemu-system-x86"}.get(
        program, program
    )


def kernel() -> tuple[Path, Path, Path]:
    """The newest cloud kernel of this host: image, initrd and modules directory.

    Raises: GuestError: there is none.
    """
    for image in sorted(Path("/boot").glob("vmlinuz-*cloud*"), reverse=True):
        release = image.name.removeprefix("vmlinuz-")
        initrd, modules = Path(f"/boot/initrd.img-{release}"), Path(f"/lib/modules/{release}")
        if initrd.exists() and modules.is_dir():
            return image, initrd, modules
    raise GuestError("no cloud kernel under /boot: apt-get install linux-image-cloud-amd64")


def root_image(packages: tuple[str, ...] = PACKAGES) -> Path:
    """The root file system as an image file, made once for each recipe."""
    _, _, modules = kernel()
    dependencies = _dependencies()
    recipe = "\n".join([_INIT, _UNIT, SUITE, *packages, *dependencies, modules.name, _ROOT_SIZE])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wharf-guest"
    image = cache / f"root-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.img"
    if image.exists():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / "tree"
    _remove_tree(tree)
    print(f"guest: making {image} (once; a few minutes)", flush=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(tree), _mirror())
    shutil.copytree(modules, tree / "lib/modules" / modules.name, symlinks=True)
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(tree / "opt/wharf")),
        *("--python-version", GUEST_PYTHON, "--implementation", "cp", "--only-binary=:all:"),
        *(word for name in _platforms() for word in ("--platform", name)),
        *dependencies,
    )
    run(
        "chroot",
        str(tree),
        f"/usr/bin/python{GUEST_PYTHON}",
        "-m",
        "compileall",
        "-q",
        "/opt/wharf",
        "/usr/lib/python3.11",
    )
    (tree / "project").mkdir()
    (tree / "guest-init").write_text(_INIT)
    (tree / "guest-init").chmod(0o755)
    if "systemd" in packages:
        _enable(tree / "etc/systemd/system", "guest.service", _UNIT)
    for packages in (tree / "var/cache/apt/archives").glob("*.deb"):
        packages.unlink()
    part = image.with_suffix(".part")
    part.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(part), _ROOT_SIZE)
    part.rename(image)
    _remove_tree(tree)
    return image


def _enable(units: Path, name: str, text: str) -> None:
    (units / name).write_text(text)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / name).symlink_to(f"../{name}")


def _remove_tree(tree: Path) -> None:
    """Take a debootstrap tree away; one that was broken off still has its /proc mounted."""
    for mounted in ("proc", "sys"):
        if os.path.ismount(tree / mounted):
            run("umount", str(tree / mounted))
    shutil.rmtree(tree, ignore_errors=True)


def _mirror() -> str:
    """Where this host gets its Debian packages; debootstrap's own default elsewhere."""
    if f"VERSION_CODENAME={SUITE}" not in Path("/etc/os-release").read_text():
        return ""
    address = run("apt-get", "--print-uris", "-qq", "download", "base-files").split("'")[1]
    return address.partition("/pool/")[0]


def _platforms() -> list[str]:
    machine = platform.machine()
    return [f"manylinux_2_{minor}_{machine}" for minor in (36, 35, 34, 31, 28, 27, 24, 17, 12, 5)] + [
        f"manylinux2014_{machine}",
        f"manylinux2010_{machine}",
        f"manylinux1_{machine}",
    ]


def _dependencies() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = {
        line.split("==")[0].split(">=")[0].split("[")[0]: line for line in project["optional-dependencies"]["dev"]
    }
    return [*project["dependencies"], *(wanted[name] for name in TEST_NEEDS)]


def project_drive(directory: Path, arguments: Sequence[str]) -> Path:
    """A drive with the project, and in `arguments` what pytest is to be called with."""
    tree = directory / "project"
    tree.mkdir()
    for name in _CARRIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    for script in ("inside.sh", "systemd.sh"):
        shutil.copy(Path(__file__).with_name(script), tree)
    # compiled here, so that the guest needs no compiler
    probe = str(PROJECT / "tests/probe/probe.c")
    run("gcc", "-O1", "-static", "-o", str(tree / "probe"), probe, "-lpthread")
    (tree / "arguments").write_text("".join(f"{argument}\n" for argument in arguments))
    image = directory / "project.img"
    run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(image), _DRIVE_SIZE)
    return image


def read_result(image: Path, name: str, directory: Path) -> str:
    """A file that the guest left on the project's drive; empty if it left none."""
    target = directory / "result"
    target.unlink(missing_ok=True)
    run("debugfs", "-R", f"dump /{name} {target}", str(image))
    return target.read_text(errors="replace") if target.exists() else ""
