"""ST8: names that turn out to mean addresses nobody should be led to. In a network namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = str(Path(__file__).parents[2])
_ABROAD = """
import socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from core.linux import inside
inside.unshare(inside.CLONE_NEWNET)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for address in ("169.254.9.9", "10.9.9.9", "192.0.2.9"):
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)

from core.errors import Unreachable
from core.model.registry_settings import RegistrySettings
from core.registry.endpoint import origin_of
from core.registry.transport import Timeouts, Transport
from tests.registry.server import fake_registry

real = socket.getaddrinfo
meanings = {
    "metadata.invalid": ["169.254.9.9"],
    "moves.invalid": ["10.9.9.9", "192.0.2.9"],
    "stays.invalid": ["10.9.9.9"],
}

def lookup(host, *args, **options):
    known = meanings.get(host)
    if known:
        host = known.pop(0) if len(known) > 1 else known[0]
    return real(host, *args, **options)

socket.getaddrinfo = lookup
with fake_registry(address="0.0.0.0") as fake:
    port = fake.host.rpartition(":")[2]
    settings = RegistrySettings(insecure=("10.0.0.0/8",))

    def ask(host, path):
        transport = Transport(settings, timeouts=Timeouts(2, 2, 2))
        try:
            return transport.request("GET", f"http://{host}:{port}{path}", origin_of(f"{host}:{port}", settings)).status
        except Unreachable as error:
            return error.message

    def lead(handler, asked):
        if asked.path != "/lead":
            return False
        handler.reply(307, b"", {"Location": f"http://metadata.invalid:{port}/latest/meta-data"})
        return True

    fake.tricks.append(lead)
    print(ask("127.0.0.1", "/lead"))
    print(ask("moves.invalid", "/v2/"))
    print(ask("stays.invalid", "/v2/"))
    print(ask("169.254.9.9", "/v2/"))
    print([asked.path for asked in fake.asked])
"""


def test_ST8_a_name_that_means_a_forbidden_address_is_found_out_once_connected() -> None:
    done = subprocess.run([sys.executable, "-c", _ABROAD, PROJECT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    led, moved, stayed, named, asked = done.stdout.splitlines()
    assert led == "metadata.invalid means 169.254.9.9, an address of this host's own network"
    assert moved == "the address of an insecure registry has changed to 192.0.2.9 meanwhile"
    assert stayed == "200"
    assert named == "200"  # whoever writes the address itself wants it
    assert asked == "['/lead', '/v2/', '/v2/']"
