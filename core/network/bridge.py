"""A network's bridge on the host: made when it is first needed in a boot, and taken away with its network.

Its alias is set last of all, so that a bridge that carries it is complete. pyroute2 does the making, and costs 150 ms
to import: paid once a boot and network. What every start asks is answered by sysfs or our own netlink.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from core.errors import EngineError, NotFound
from core.linux import netlink
from core.linux.checkpoints import checkpoint
from core.linux.netlink import Link, Netlink
from core.model.network import Network
from core.network.ipam import parse_range

_LINKS = "/sys/class/net"
_USUAL_MTU = 1500


def stands(tag: str, network: Network) -> bool:
    """Whether the bridge of a network is there and complete (15 µs; where /sys shows another network namespace, 60)."""
    wanted = alias(tag, network)
    if _read(f"{_LINKS}/{network.interface}/ifalias") == wanted:
        return True
    link = _link(network.interface)
    return link is not None and link.alias == wanted


def is_anothers(tag: str, network: Network) -> bool:
    """Whether an interface of that name says that it is somebody else's: made while the network's own was not there."""
    return _read(f"{_LINKS}/{network.interface}/ifalias") not in ("", alias(tag, network))


def alias(tag: str, network: Network) -> str:
    """What `ip link` shows: whose bridge it is."""
    return f"{tag} {network.name}"


def exists(interface: str) -> bool:
    """Whether the host has an interface of that name."""
    return os.path.isdir(f"{_LINKS}/{interface}")


def mtu_of(interface: str) -> int:
    """An interface's; 1500 if it is not there."""
    return int(_read(f"{_LINKS}/{interface}/mtu") or _USUAL_MTU)


def raise_bridge(tag: str, network: Network) -> tuple[str, ...]:
    """Make a network's bridge, or what is missing of it. Under the network's lock.

    Returns: what a person should know. Raises: EngineError.
    """
    warnings = () if network.internal else _forward(ipv6=network.ipv6)
    name = network.interface
    with _routing(f"make bridge {name}") as host:
        mac = "02:42:" + os.urandom(4).hex(":")
        mtu = network.mtu or uplink_mtu()
        with _forgiving(errno.EEXIST):
            host.link("add", ifname=name, kind="bridge", address=mac)
        checkpoint("bridge:made")
        link = _link(name)
        if link is None:
            raise EngineError(f"bridge {name} vanished while it was made", hint="try again")
        if link.kind != "bridge":
            raise EngineError(f"{name} is no bridge", hint="it is another program's: rename it")
        if is_anothers(tag, network):
            raise EngineError(
                f"bridge {name} is not this network's: it is {link.alias!r}", hint="rename one of the two"
            )
        settings = f"/proc/sys/net/ipv6/conf/{name}"
        _write(f"{settings}/accept_ra", "0")  # no container may tell the host where its routes lead (CVE-2020-13401)
        _write(f"{settings}/disable_ipv6", "0" if network.ipv6 else "1")
        for subnet in network.subnets:
            if subnet.gateway:
                length = parse_range(subnet.subnet).length
                with _forgiving(errno.EEXIST):
                    host.addr("add", index=link.number, address=subnet.gateway, prefixlen=length)
        # an MTU that it is made with is forgotten when its last port goes, one that it is changed to is kept
        host.link("set", index=link.number, mtu=mtu, state="up")
        checkpoint("bridge:up")
        host.link("set", index=link.number, ifalias=alias(tag, network))
    return warnings


def remove_bridge(interface: str) -> None:
    """Take a bridge away; gone is fine. Raises: EngineError."""
    with _routing(f"remove bridge {interface}") as host, _forgiving(errno.ENODEV):
        host.link("del", ifname=interface)


def remove_link(interface: str) -> None:
    """Take a left over end of a container's interface away; gone is fine. Raises: EngineError."""
    with _asking(f"remove interface {interface}") as kernel:
        try:
            kernel.ask(netlink.delete_link(interface))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise


def links() -> list[Link]:
    """All interfaces of the host. Raises: EngineError."""
    with _asking("look at the host's interfaces") as kernel:
        return kernel.links()


def bridges_of(tag: str) -> list[Link]:
    """Bridges that an engine root has made, complete ones."""
    return [link for link in links() if link.kind == "bridge" and link.alias.startswith(f"{tag} ")]


def check_parent(interface: str) -> None:
    """Refuse a macvlan's parent that is not there. Raises: NotFound."""
    if not os.path.isdir(f"{_LINKS}/{interface}"):
        raise NotFound(
            f"parent interface {interface} was not found on this host",
            kind="interface",
            key=interface,
            hint="ip link shows their names; choose one with --opt parent=NAME",
        )


def uplink() -> str:
    """The interface of the host's default route; empty if there is none."""
    try:
        with open("/proc/net/route") as file:
            rows = [line.split() for line in file.read().splitlines()[1:]]
    except OSError:
        return ""
    ways = [(int(row[6]), row[0]) for row in rows if row[1] == row[7] == "00000000"]
    return min(ways)[1] if ways else ""


def uplink_mtu() -> int:
    """As large as packets may be that leave the host."""
    return mtu_of(uplink()) if uplink() else _USUAL_MTU


def _forward(*, ipv6: bool) -> tuple[str, ...]:
    """Let the host pass packets on between interfaces, which containers' way out needs."""
    warnings = []
    if _read("/proc/sys/net/ipv4/ip_forward") == "0":
        _write("/proc/sys/net/ipv4/ip_forward", "1")
        warnings.append("net.ipv4.ip_forward was 0 and is 1 now: containers on bridges need it")
    if ipv6 and _read("/proc/sys/net/ipv6/conf/all/forwarding") == "0":
        for name in os.listdir("/proc/sys/net/ipv6/conf"):
            accepts = f"/proc/sys/net/ipv6/conf/{name}/accept_ra"
            if name not in ("all", "default", "lo") and _read(accepts) == "1":
                _write(accepts, "2")  # a router listens to other routers only if told so: the host keeps its way out
        _write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        warnings.append("net.ipv6.conf.all.forwarding was 0 and is 1 now: containers on IPv6 networks need it")
    return tuple(warnings)


@contextmanager
def _asking(doing: str) -> Iterator[Netlink]:
    kernel = Netlink()
    try:
        yield kernel
    except OSError as error:
        raise EngineError(
            f"cannot {doing}: {(error.strerror or str(error)).lower()}",
            hint="doctor shows what this host's kernel can do",
        ) from error
    finally:
        kernel.close()


@contextmanager
def _routing(doing: str) -> Iterator[Any]:
    """pyroute2's IPRoute of the host."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as host:
            yield host
    except NetlinkError as error:
        raise EngineError(
            f"cannot {doing}: {os.strerror(error.code).lower()}", hint="doctor shows what this host's kernel can do"
        ) from error
    except OSError as error:
        raise EngineError(
            f"cannot {doing}: {(error.strerror or str(error)).lower()}", hint="doctor shows what this host offers"
        ) from error


@contextmanager
def _forgiving(number: int) -> Iterator[None]:
    """What is so already is fine."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        if error.code != number:
            raise


def _link(name: str) -> Link | None:
    with closing(Netlink()) as kernel:
        return kernel.link(name)


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 4096).decode(errors="replace").rstrip("\n")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _write(path: str, value: str) -> None:
    """A kernel setting; one that this kernel has not is as good as set."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
