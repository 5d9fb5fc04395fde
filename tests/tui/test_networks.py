"""The Networks tab, its dialogs, and the card that tries the way to a port."""

import pytest
from textual.widgets import Input

from core.model.network import EndpointWish, NetworkSpec, Subnet
from core.model.ports import PortWish
from tests.tui.conftest import Open

SIZES = [(80, 24), (120, 40), (200, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_I10_networks_are_listed_with_who_is_on_them(console: Open, size: tuple[int, int]) -> None:
    async with console(size) as screen:
        await screen.press("4")
        await screen.shows("NETWORK", "DRIVER", "SUBNET", "ON IT", "172.30.0.0/16", "3 api-1, db", "✖ lab")
        for line in screen.text().split("\n"):
            assert len(line) <= size[0]


async def test_I10_a_network_is_drawn_with_what_flows_on_it(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("4")
        await screen.type("/shop")
        await screen.press("enter", "enter")
        await screen.shows("══╤═ shop ═ wh", "═ 172.30.0.1/16 ═", "├─● api-1", "172.30.0.2", ":8080▸80", "└─◌ old-job")
        await screen.shows("not running", "out through the host", "↓", "/s ↑", "subnet", "gateway 172.30.0.1")
        await screen.press("i")
        await screen.shows('"driver": "bridge"')
        await screen.press("p")
        await screen.shows("├─● api-1")
        await screen.press("enter")
        await screen.shows(" Open ")
        await screen.press("enter")
        await screen.shows("Logs", "net shop 172.30.0.2 · :8080▸80")


async def test_I10_at_80x24_the_picture_has_addresses_rates_and_ports(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("4")
        await screen.type("/shop")
        await screen.press("enter", "enter")
        await screen.shows("├─● api-1", "172.30.0.2", "↑", ":8080▸80")


async def test_I10_an_internal_and_an_empty_network_say_so(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("4")
        await screen.type("/lab")
        await screen.press("enter", "enter")
        await screen.shows("no way out (--internal)", "nobody is on it")


async def test_E2_a_network_is_made(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("4", "n")
        await screen.shows("New network", "wharf network create NAME")
        await screen.press("enter")
        await screen.shows("letters, digits, _ . and - only")
        await screen.type("back")
        for name, value in (("subnet", "10.5.0.0/24 fd00::/64"), ("gateway", "10.5.0.9"), ("range", "10.5.0.128/25")):
            screen.app.screen.query_one(f"#{name}", Input).value = value
        await screen.click_text("internal: no way out")
        await screen.shows("wharf network create --subnet 10.5.0.0/24 --subnet fd00::/64 --gateway")
        await screen.click_text("Create  ⏎")
        spec = NetworkSpec(
            name="back",
            subnets=(
                Subnet(subnet="10.5.0.0/24", gateway="10.5.0.9", ip_range="10.5.0.128/25"),
                Subnet(subnet="fd00::/64"),
            ),
            internal=True,
        )
        await screen.called("network create", spec)
        await screen.shows("network back is there", "4 Networks 6")


async def test_E2_a_malformed_subnet_is_explained_and_nothing_made(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("4", "n")
        await screen.type("back")
        screen.app.screen.query_one("#subnet", Input).value = "10.5.0.1/24"
        await screen.click_text("Create  ⏎")
        await screen.shows("invalid subnet 10.5.0.1/24: it should be 10.5.0.0/24")
        assert not screen.backend.calls


async def test_E2_connect_and_disconnect(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("4")
        await screen.type("/shop")
        await screen.press("enter", "c")
        await screen.shows("Put a container on shop", "wharf network connect shop CONTAINER")
        await screen.type("cron")
        screen.app.screen.query_one("#aliases", Input).value = "jobs night"
        screen.app.screen.query_one("#ipv4", Input).value = "172.30.0.44"
        await screen.shows("wharf network connect --alias jobs --alias night --ip 172.30.0.44 shop")
        await screen.click_text("Connect  ⏎")
        wish = EndpointWish(network="shop", aliases=("jobs", "night"), ipv4="172.30.0.44")
        await screen.called("network connect", "shop", "cron", wish)
        await screen.shows("cron is on shop")
        await screen.press("u")
        await screen.shows("Take a container off shop", "On it: api-1, db", "wharf network disconnect shop api-1")
        await screen.press("enter")
        await screen.called("network disconnect", "shop", "api-1", False)


async def test_E2_delete_names_who_is_on_it_and_keeps_the_predefined(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("4")
        await screen.press("d")
        await screen.shows("bridge is always there and can't be removed")
        await screen.type("/shop")
        await screen.press("enter", "d")
        await screen.shows("Delete 1 network", "On it: api-1, db, old-job", "wharf network rm shop")
        await screen.press("enter")
        await screen.called("network rm", "shop")
        await screen.shows("removed shop")


async def test_E2_run_with_a_network_and_ports(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.press("n")
        await screen.shows("Run a container")
        screen.app.screen.query_one("#network", Input).value = "name=shop,alias=web"
        screen.app.screen.query_one("#ports", Input).value = "8081:80 127.0.0.1:53:53/udp"
        await screen.shows("--network name=shop,alias=web", "-p 8081:80 -p 127.0.0.1")
        await screen.click_text("Run  ⏎")
        await screen.called("create")
        spec = next(call for call in screen.backend.calls if call[0] == "create")[1]
        assert (spec.network, spec.endpoints) == ("shop", (EndpointWish(network="shop", aliases=("web",)),))
        assert spec.ports == (
            PortWish(container_port=80, host_first=8081),
            PortWish(container_port=53, protocol="udp", host_ip="127.0.0.1", host_first=53),
        )


async def test_E2_run_is_on_the_bridge_unless_told_otherwise(console: Open) -> None:
    async with console((80, 24)) as screen:
        await screen.press("n")
        await screen.click_text("Run  ⏎")
        await screen.called("create")
        spec = next(call for call in screen.backend.calls if call[0] == "create")[1]
        assert (spec.network, spec.endpoints, spec.ports) == ("bridge", (), ())


async def test_I10_a_containers_networks_are_a_view_of_it(console: Open) -> None:
    async with console((120, 40)) as screen:
        await screen.type("/api-1")
        await screen.press("enter", "enter")
        await screen.shows("net ↓ 1.2K/s  ↑ 9.6K/s")
        await screen.press("v")
        await screen.shows("shop", "eth0", "172.30.0.2/16", "by way of 172.30.0.1", "02:42:ac:1e:00:02")
        await screen.shows("published", "0.0.0.0:8080 ▸ 80/tcp", "[::]:8080 ▸ 80/tcp", "↑")


async def test_I10_why_cant_i_reach_it(console: Open, copied: list[str]) -> None:
    async with console((80, 24)) as screen:
        await screen.type("/api-1")
        await screen.press("enter", "P")
        await screen.shows("Why can't I reach api-1", "✓ running", "– published", "✓ listening", "It can be reached.")
        await screen.shows("it [answers] ␛[2J")
        await screen.called("trace", "api-1", 80, "tcp")
        screen.app.screen.query_one("#port", Input).value = "53/udp"
        await screen.press("enter")
        await screen.called("trace", "api-1", 53, "udp")
        await screen.shows("✖ listening", "nothing listens on port 53", "start a server", "the step listening fails")
        await screen.press("ctrl+y")
        assert copied == ["wharf why --port 53/udp api-1"]
        screen.app.screen.query_one("#port", Input).value = "http"
        await screen.press("enter")
        await screen.shows("invalid port: http")
        await screen.press("escape")
        await screen.gone("Why can't I reach")


async def test_B8_an_event_of_a_network_opens_it(console: Open) -> None:
    async with console((120, 40)) as screen:
        shop = next(network for network in screen.backend.all_networks if network.name == "shop")
        screen.backend.tell("network", "connect", shop.id, name="shop", type="bridge", container="ab" * 32)
        await screen.press("5")
        await screen.shows("network", "connect", "container=abababababab  type=bridge")
        await screen.type("/shop")
        await screen.press("enter", "enter")
        await screen.shows("══╤═ shop")
