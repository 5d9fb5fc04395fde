"""The image that all servers run from: a Debian tree, and packages that a container installs over its network."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.compat.targets import Wharf

NAME = "servers:1"
SUITE = "bookworm"
PACKAGES = (
    *("redis-server", "mariadb-server", "nginx-light", "openssh-server", "openssh-client"),
    *("python3-flask", "tomcat10", "dnsmasq-base"),
)
INSTALL = f"""\
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d &&
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/quick &&
apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {" ".join(PACKAGES)} &&
apt-get clean
"""
"""Nothing is to be started while it is installed: policy-rc.d forbids it. Nor is anything synced file by file."""
BASE = "debian:base"
_BUILD_S = 900


def archive() -> Path:
    """The image as `save` wrote it; made by whoever is first, the others wait."""
    recipe = "\n".join([SUITE, INSTALL])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wharf-servers"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"image-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _make(kept)
    return kept


def _make(kept: Path) -> None:
    wharf = Wharf()
    try:
        with tempfile.TemporaryDirectory(prefix="wharf-servers-", dir="/var/tmp") as name:
            tree, packed = Path(name) / "tree", Path(name) / "base.tar"
            subprocess.run(
                ["debootstrap", "--variant=minbase", SUITE, str(tree)], check=True, stdout=subprocess.DEVNULL
            )
            subprocess.run(["tar", "-C", str(tree), "-cf", str(packed), "."], check=True)
            shutil.rmtree(tree)
            wharf.ok("import", str(packed), BASE)
        done = subprocess.run(
            wharf.argv("run", "--name", "apt", BASE, "sh", "-c", INSTALL),
            env=wharf.env,
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        wharf.ok("commit", "apt", NAME)
        unfinished = kept.with_suffix(".part")
        wharf.ok("save", "-o", str(unfinished), NAME, BASE)
        unfinished.rename(kept)
    finally:
        wharf.clean()
        wharf.close()
