"""The files a container knows names by: /etc/hostname, /etc/hosts, /etc/resolv.conf.

They are bound into it, so after its create they are written in place, never replaced. What is in
them of its networks is written at each start, and changed when a running one is connected elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.errors import wrapped
from core.linux.files import write_all
from core.model.network import DnsWish, Endpoint

HOSTS = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
OWN_FILES = ("resolv.conf", "hostname", "hosts")
ANSWERER = "127.0.0.11"
"""Where a container on a network with names asks; its monitor answers."""
_PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")
"""Docker's, for a host that has none a container could reach."""
_NO_WISH = DnsWish()
_STUB = "127.0.0.53"
_BEHIND_STUB = "/run/systemd/resolve/resolv.conf"


def write_own_files(
    directory: Path,
    hostname: str,
    network: str,
    *,
    dns: DnsWish = _NO_WISH,
    extra_hosts: Sequence[str] = (),
    names: Sequence[str] = OWN_FILES,
) -> None:
    """Make the files as a container without networks has them; none of them is there yet."""
    hosts, resolver = HOSTS, resolver_file(dns, reachable_only=True)
    if network == "host":
        hosts = _read_text("/etc/hosts") or HOSTS
        resolver = resolver_file(dns, reachable_only=False)
    hosts += host_rows(extra_hosts, "127.0.0.1" if network == "host" else "")
    for name, text in (("hostname", f"{hostname}\n"), ("hosts", hosts), ("resolv.conf", resolver)):
        if name in names:
            _write(directory / name, text, os.O_CREAT | os.O_EXCL)


def rewrite(path: Path, text: str) -> None:
    """Give a file that may be bound into a container other content. Raises: NoSpace, Denied."""
    if _read_text(str(path)) != text:
        _write(path, text, os.O_CREAT)


def _write(path: Path, text: str, flags: int) -> None:
    """In place, and cut to length afterwards: a reader finds no empty file, and emptying one costs a start 0.2 ms."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
        try:
            data = text.encode(errors="replace")
            write_all(descriptor, data)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise wrapped(error, "write", path) from error


def hosts_file(
    endpoints: Iterable[Endpoint], hostname: str, domainname: str, extra: Sequence[str], links: Iterable[str] = ()
) -> str:
    """/etc/hosts of a container on networks: docker's rows, --add-host's, links', and its own names.

    Args: links: rows for --link on the default network.
    """
    members = tuple(endpoints)
    gateway = next((each.ipv4_gateway for each in members if each.ipv4_gateway), "")
    rows = (HOSTS, host_rows(extra, gateway), *links, *(own_rows(each, hostname, domainname) for each in members))
    return "".join(rows)


def own_rows(endpoint: Endpoint, hostname: str, domainname: str) -> str:
    """What a container is called at its own addresses of one network."""
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    return "".join(f"{address}\t{names}\n" for address in (endpoint.ipv4, endpoint.ipv6) if address)


def host_rows(extra: Sequence[str], gateway: str) -> str:
    """--add-host's rows; `host-gateway` is the host as the container sees it, where it sees it."""
    rows = []
    for each in extra:
        name, _, address = each.partition(":")
        if address == "host-gateway":
            address = gateway
        if address:
            rows.append(f"{address.strip('[]')}\t{name}\n")
    return "".join(rows)


def with_rows(path: Path, rows: str) -> str:
    """The file's text with more rows."""
    text = _read_text(str(path))
    return text + ("" if text.endswith("\n") or not text else "\n") + rows


def with_row_of(path: Path, name: str, row: str) -> str:
    """The file's text with another row for a name, in the place of those whose first name it is."""
    lines = _read_text(str(path)).splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[1:2] != [name]) + row


def without_rows(path: Path, addresses: Sequence[str]) -> str:
    """The file's text without the rows of addresses."""
    lines = _read_text(str(path)).splitlines(keepends=True)
    return "".join(line for line in lines if line.split()[:1] == [] or line.split()[0] not in addresses)


def resolver_file(dns: DnsWish, *, reachable_only: bool) -> str:
    """/etc/resolv.conf where no answerer of ours stands before it: the host's, with what is wished instead.

    Args: reachable_only: leave out what only the host's own loopback has.
    """
    lines = _host_lines()
    if dns.servers or reachable_only:
        servers = dns.servers or tuple(each for each in _words(lines, "nameserver") if not _is_loopback(each))
        lines = [line for line in lines if line.split()[:1] != ["nameserver"]]
        lines += [f"nameserver {server}" for server in servers or _PUBLIC_SERVERS]
    return _with_wishes(lines, dns)


def answered_file(dns: DnsWish) -> str:
    """/etc/resolv.conf of a container whose names its monitor answers."""
    lines = [line for line in _host_lines() if line.split()[:1] in (["search"], ["options"], ["domain"])]
    options = [each for each in dns.options or _words(lines, "options") if not each.startswith("ndots:")]
    ndots = [each for each in dns.options or _words(lines, "options") if each.startswith("ndots:")] or ["ndots:0"]
    wish = DnsWish(search=dns.search, options=(*options, *ndots))
    return _with_wishes([f"nameserver {ANSWERER}", *lines], wish)


def forwarders(dns: DnsWish) -> tuple[str, ...]:
    """Whom the answerer asks: who is wished, or whom the host asks. It asks from the host."""
    return dns.servers or tuple(_words(_host_lines(), "nameserver")) or _PUBLIC_SERVERS


def _with_wishes(lines: Sequence[str], dns: DnsWish) -> str:
    kept = list(lines)
    if dns.search:
        kept = [line for line in kept if line.split()[:1] not in (["search"], ["domain"])]
        if dns.search != (".",):  # as docker has it: none at all
            kept.append(f"search {' '.join(dns.search)}")
    if dns.options:
        kept = [line for line in kept if line.split()[:1] != ["options"]]
        kept.append(f"options {' '.join(dns.options)}")
    return "\n".join(kept) + "\n"


def _host_lines() -> list[str]:
    """Of the host's file; behind systemd-resolved's stub, of the one it keeps itself."""
    lines = _read_text("/etc/resolv.conf").splitlines()
    if _words(lines, "nameserver") == [_STUB] and (behind := _read_text(_BEHIND_STUB)):
        lines = behind.splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith(("#", ";"))]


def _words(lines: Iterable[str], keyword: str) -> list[str]:
    return [word for line in lines if line.split()[:1] == [keyword] for word in line.split()[1:]]


def _is_loopback(server: str) -> bool:
    return server.startswith("127.") or server == "::1"


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
