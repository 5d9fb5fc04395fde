"""A container's networks from its monitor's side: made with each start, let go with each end.

    reserve   before the first process: what it may fail by without anything to undo
    join      interfaces, addresses, routes in its namespace; the process waits with its command until then
    resume    after a takeover: everything stands, only the way into the namespace is to be found again
    leave     a run's end: nothing of it answers any more; what was claimed stays for the policy's next start
    release   the last end: claims are given back

The namespace is the first process's and goes with the last descriptor on it, and the interfaces in it
and their other ends on the host go with the namespace. All that is done inside is done by sockets that
were made inside: setns(2), a socket, and back (we have one thread).
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from core.linux import inside, netlink
from core.linux.checkpoints import checkpoint
from core.linux.files import write_atomic
from core.linux.netlink import Netlink
from core.monitor import journal
from core.monitor.guard import Guard, is_wanted
from core.monitor.loop import Loop
from core.monitor.names import Names
from core.monitor.outcome import StartFailed
from core.monitor.publishing import Publishing, withdraw

_GONE_S = 2.0
"""How long an interface of an earlier run may take to go: the kernel clears namespaces away at its leisure."""
_DOCUMENT = ".json"
Endpoint = dict[str, Any]
"""A core.model.sandbox.SandboxEndpoint."""


class NetworkFailed(Exception):
    """A network could not be joined; the message is for people."""


class Network:
    """The networks of one container.

    Args: spec: the sandbox document, whose "network" this looks after (and changes, when it is connected to more).
    """

    def __init__(self, spec: dict[str, Any], loop: Loop) -> None:
        self._spec = spec
        self._loop = loop
        self._publishing: Publishing | None = None
        self._names: Names | None = None
        self._network: dict[str, Any] = spec["network"]
        self._guard = Guard(self._network.get("table", "") if is_wanted(spec) else "")
        self._host: Netlink | None = None
        self._inside: Netlink | None = None
        self._namespace = -1
        self._home = -1

    @property
    def _endpoints(self) -> list[Endpoint]:
        found: list[Endpoint] = self._network["endpoints"]
        return found

    def fields(self) -> dict[str, Any]:
        """What a running state tells of it."""
        ports = self._publishing.published if self._publishing else []
        return {"endpoints": [each["endpoint"] for each in self._endpoints], "ports": ports}

    @property
    def warnings(self) -> list[str]:
        """What a person should know of its ports."""
        return self._publishing.warnings if self._publishing else []

    # ── claims ─────────────────────────────────────────────────────────────────────────────────

    def reserve(self) -> None:
        """Hold what the engine claimed for us, also where a killed start's successor has given it back meanwhile,
        and the ports.

        Raises: NetworkFailed: somebody else has an address by now. StartFailed: or a port.
        """
        for each in self._endpoints:
            for path in each["claims"]:
                try:
                    if _owner(path) == self._spec["id"]:
                        continue
                    raise NetworkFailed("Address already in use")
                except FileNotFoundError:
                    pass
                except OSError as error:
                    raise NetworkFailed(f"{path}: {(error.strerror or str(error)).lower()}") from error
                try:
                    self._claim(path, each["endpoint"])
                except OSError as error:
                    raise NetworkFailed(f"{path}: {(error.strerror or str(error)).lower()}") from error

        self._guard.watch(self._endpoints)
        if self._publishing:
            self._publishing.redirect(self._network)
        else:
            withdraw(self._network)  # a run whose monitor was killed with it may have had other ports
            self._publish(())

    def _publish(self, before: Sequence[dict[str, Any]]) -> None:
        """Raises: StartFailed."""
        if self._network.get("ports"):
            publishing = Publishing(self._loop, self._network, self._spec["attributes"]["name"])
            publishing.open(before)
            self._publishing = publishing

    def _claim(self, path: str, endpoint: dict[str, Any]) -> None:
        if path.endswith(_DOCUMENT):
            document = {"schema": 1, "kind": "network.endpoint", **endpoint}
            write_atomic(path, json.dumps(document).encode(), durable=False)
        else:
            os.symlink(self._spec["id"], path)

    # ── a run ──────────────────────────────────────────────────────────────────────────────────

    def join(self, pidfd: int) -> None:
        """Put a process that has not begun yet on all its networks. Raises: NetworkFailed."""
        self._enter(pidfd)
        try:
            for each in self._endpoints:
                self._make(each)
                checkpoint("network:made")
            self._route()
        finally:
            self._return()
        self._answer_names()
        checkpoint("network:joined")

    def resume(self, pidfd: int, ports: Sequence[dict[str, Any]]) -> list[str]:
        """Find the way into the namespace of a process that runs; what could not be taken up again.

        Args: ports: as a killed monitor had published them.
        """
        try:
            self._enter(pidfd)
        except NetworkFailed:
            return []  # it has just ended
        self._return()
        lost = []
        self._guard.watch(self._endpoints)
        try:
            self._publish(ports)
        except StartFailed as error:
            lost.append(f"its ports are not published any more: {error}")
        try:
            self._answer_names()
        except NetworkFailed as error:
            lost.append(str(error))
        return lost

    def _answer_names(self) -> None:
        """At 127.0.0.11 in its namespace, if any of its networks has names. Raises: NetworkFailed."""
        if not self._network.get("resolver"):
            if self._names:
                self._names.close()
                self._names = None
        elif self._names:
            self._names.update(self._network)
        else:
            names = Names(self._loop, self._network)
            try:
                names.open(self._namespace)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise NetworkFailed(f"names can't be answered in its namespace: {reason}") from error
            self._names = names

    def leave(self) -> None:
        """Nothing answers to its addresses any more, whoever may still be in the namespace."""
        if self._inside is None:
            return
        if self._names:
            self._names.close()
            self._names = None
        for each in self._endpoints:
            self._silence(each)
        self._close()

    def _close(self) -> None:
        for connection in (self._inside, self._host):
            if connection:
                connection.close()
        for descriptor in (self._namespace, self._home):
            if descriptor >= 0:
                os.close(descriptor)
        self._inside = self._host = None
        self._namespace = self._home = -1

    def release(self) -> None:
        """It comes back no more, or with other addresses: others may have these."""
        self.leave()
        if self._publishing:
            self._publishing.close()
            self._publishing = None
        else:
            withdraw(self._network)
        self._guard.close()
        for each in self._endpoints:
            self._give_back(each)

    # ── while it runs ──────────────────────────────────────────────────────────────────────────

    def connect(self, endpoint: Endpoint, resolver: dict[str, Any] | None) -> None:
        """One network more.

        Args: resolver: who answers names from now on, a SandboxResolver.
        Raises: NetworkFailed: nothing of it is left then but its claims.
        """
        if self._inside is None:
            raise NetworkFailed("its network namespace is gone")
        self._guard.watch([*self._endpoints, endpoint])
        before = self._network.get("resolver")
        try:
            self._put_on(endpoint)
            self._network["resolver"] = resolver
            self._answer_names()
        except NetworkFailed:
            self._remove(endpoint)
            self._network["resolver"] = before
            self._guard.watch(self._endpoints)
            raise
        self._redirect()
        self._note(endpoint, "connect")

    def _put_on(self, endpoint: Endpoint) -> None:
        inside.setns(self._namespace, inside.CLONE_NEWNET)
        try:
            self._make(endpoint)
            checkpoint("connect:made")
            self._endpoints.append(endpoint)
            self._route()
        finally:
            self._return()

    def disconnect(self, network_id: str, resolver: dict[str, Any] | None) -> list[str] | None:
        """One network less; what it cost, or None if it is not on it.

        What a container has done to its interfaces meanwhile does not keep it on a network.
        """
        for each in self._endpoints:
            if each["endpoint"]["network_id"] == network_id:
                break
        else:
            return None
        self._remove(each)
        checkpoint("disconnect:removed")
        self._network["resolver"] = resolver
        lost = []
        for step in (self._route, self._answer_names):
            try:
                step()
            except NetworkFailed as error:
                lost.append(str(error))
        self._redirect()
        self._give_back(each)
        self._note(each, "disconnect")
        return lost

    def tell_rules_again(self) -> None:
        """The firewall's rules were lost, and are there again: its ports and addresses are not among them."""
        self._guard.forget_rules()
        if self._publishing:
            self._publishing.forget_rules()
        self._redirect()

    def _redirect(self) -> None:
        """Its ports lead to where it is now, and it may send from there."""
        self._guard.watch(self._endpoints)
        if self._publishing:
            try:
                self._publishing.redirect(self._network)
            except StartFailed as error:
                self._publishing.warnings.append(str(error))

    def rename(self, name: str) -> None:
        """The container is called otherwise from now on."""
        for each in self._endpoints:
            each["endpoint"]["container_name"] = name

    # ── events ─────────────────────────────────────────────────────────────────────────────────

    def note_joined(self) -> None:
        """Tell that it is on its networks."""
        for each in self._endpoints:
            self._note(each, "connect")

    def note_left(self) -> None:
        """Tell that it is on none of them any more."""
        for each in self._endpoints:
            self._note(each, "disconnect")

    def _note(self, each: Endpoint, action: str) -> None:
        endpoint = each["endpoint"]
        attributes = {"container": self._spec["id"], "name": endpoint["network"], "type": each["driver"]}
        try:
            journal.append(self._spec["journal_dir"], "network", action, endpoint["network_id"], attributes)
        except OSError:
            pass  # a full disk loses the event, never the container

    # ── the kernel's part ──────────────────────────────────────────────────────────────────────

    def _enter(self, pidfd: int) -> None:
        """Go into a process's network namespace; sockets for here and there are kept."""
        self._close()
        try:
            self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._host = Netlink()
            inside.setns(pidfd, inside.CLONE_NEWNET)
            self._namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._inside = Netlink()
        except OSError as error:
            if self._home >= 0:
                inside.setns(self._home, inside.CLONE_NEWNET)
            self._close()
            raise NetworkFailed(f"its network namespace: {(error.strerror or str(error)).lower()}") from error

    def _return(self) -> None:
        inside.setns(self._home, inside.CLONE_NEWNET)

    def _make(self, each: Endpoint) -> None:
        """One interface with its addresses, up. We are in the container's namespace."""
        assert self._inside
        endpoint = each["endpoint"]
        name, step = endpoint["interface"], "an interface"
        try:
            step = f"interface {endpoint.get('host_interface') or name} on {each['link']}"
            self._make_link(each)
            step = f"{name} inside"
            link = self._inside.link(name)
            if link is None:
                raise OSError(errno.ENODEV, "it is not there")
            number = link.number
            messages = []
            # whoever knew another one at the same address would go on sending to that one's link address
            _set(f"net/ipv4/conf/{name}/arp_notify", "1")
            if endpoint.get("ipv6"):
                _set(f"net/ipv6/conf/{name}/ndisc_notify", "1")
                if each["driver"] == "bridge":  # the host routes there, and sends none: who does is a neighbour
                    _set(f"net/ipv6/conf/{name}/accept_ra", "0")
                messages.append(netlink.add_address(number, endpoint["ipv6"], endpoint["ipv6_prefix_length"]))
            else:
                _without_ipv6(name)
            if endpoint.get("ipv4"):
                messages.append(netlink.add_address(number, endpoint["ipv4"], endpoint["ipv4_prefix_length"]))
            for path, value in each.get("sysctls", {}).items():
                _set(path.replace("IFNAME", name), value)
            self._inside.ask(*messages, netlink.set_up(number))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise NetworkFailed(f"network {endpoint['network']}: {step}: {reason}") from error

    def _make_link(self, each: Endpoint) -> None:
        """Raises: OSError."""
        assert self._host
        assert self._inside
        endpoint = each["endpoint"]
        link = self._host.link(each["link"])
        if link is None:
            raise OSError(errno.ENODEV, f"{each['link']} is not there")
        if each["driver"] == "macvlan":
            macvlan = netlink.new_macvlan(
                endpoint["interface"],
                parent=link.number,
                namespace=self._namespace,
                mode=each["mode"] or "bridge",
                mtu=each["mtu"],
                mac=endpoint["mac"],
            )
            self._host.ask(macvlan)
            return
        veth = netlink.new_veth(
            endpoint["host_interface"],
            endpoint["interface"],
            namespace=self._namespace,
            master=link.number,
            mtu=each["mtu"],
            mac=endpoint["mac"],
        )
        deadline = time.monotonic() + _GONE_S
        while True:
            try:
                self._host.ask(veth, netlink.set_alias(endpoint["host_interface"], self._spec["id"]))
                break
            except OSError as error:
                if error.errno != errno.EEXIST or time.monotonic() > deadline:
                    raise
                if self._inside.link(endpoint["interface"]):  # of the container's own making
                    raise OSError(errno.EEXIST, f"it has an {endpoint['interface']} already") from error
            self._delete(endpoint["host_interface"])  # an earlier run's, whose namespace is not cleared away yet
        if each.get("is_isolated") and (end := self._host.link(endpoint["host_interface"])):
            self._host.ask(netlink.isolate_port(end.number))

    def _delete(self, host_interface: str) -> None:
        assert self._host
        try:
            self._host.ask(netlink.delete_link(host_interface))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def _route(self) -> None:
        """The first network with a way out has the default route, in each family."""
        assert self._inside
        for family in ("ipv4", "ipv6"):
            gateways = [
                (each["endpoint"]["interface"], each["endpoint"][f"{family}_gateway"])
                for each in self._endpoints
                if each["endpoint"].get(f"{family}_gateway") and not each["is_internal"]
            ]
            for name, gateway in gateways[:1]:
                try:
                    if link := self._inside.link(name):
                        self._inside.ask(netlink.add_default_route(link.number, gateway))
                except OSError as error:
                    if error.errno != errno.EEXIST:  # it has one, of ours or of its own making
                        reason = (error.strerror or str(error)).lower()
                        raise NetworkFailed(f"default route by {gateway}: {reason}") from error

    def _remove(self, each: Endpoint) -> None:
        """Take an interface away. It may be another one inside by now: then its end on the host goes."""
        assert self._inside
        endpoint = each["endpoint"]
        if each in self._endpoints:
            self._endpoints.remove(each)
        try:
            if endpoint.get("host_interface"):
                self._delete(endpoint["host_interface"])
            elif (link := self._inside.link(endpoint["interface"])) and link.mac == endpoint["mac"]:
                self._inside.ask(netlink.delete_link(link.name))
        except OSError:
            pass  # it has gone with its namespace

    def _silence(self, each: Endpoint) -> None:
        """Addresses away, which is quick; the kernel clears the rest away with the namespace."""
        assert self._inside
        endpoint = each["endpoint"]
        try:
            link = self._inside.link(endpoint["interface"])
            for family in ("ipv4", "ipv6"):
                if link and endpoint.get(family):
                    length = endpoint[f"{family}_prefix_length"]
                    self._inside.ask(netlink.delete_address(link.number, endpoint[family], length))
        except OSError:
            pass  # its owner was faster

    def _give_back(self, each: Endpoint) -> None:
        """Claims are ours to unlink as long as they name us."""
        for path in each["claims"]:
            try:
                if _owner(path) == self._spec["id"]:
                    os.unlink(path)
            except OSError:
                pass  # given back already


def _owner(path: str) -> str:
    """Whose claim it is: an address is a symlink to its container, an endpoint a document called after it.

    Raises: OSError: nobody's.
    """
    if path.endswith(_DOCUMENT):
        os.stat(path)
        return os.path.basename(path).removesuffix(_DOCUMENT)
    return os.readlink(path)


def _without_ipv6(interface: str) -> None:
    """On a network without IPv6 an interface takes none from strangers' router advertisements either."""
    try:
        _set(f"net/ipv6/conf/{interface}/disable_ipv6", "1")
    except FileNotFoundError:
        pass  # a kernel without IPv6


def _set(path: str, value: str) -> None:
    """A kernel parameter of the network namespace we are in. Raises: OSError."""
    descriptor = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
