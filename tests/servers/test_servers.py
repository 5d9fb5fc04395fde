"""The servers of the seeds, as people run them: published, configured by binds, restarted, and keeping their data."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from tests.servers.conftest import Servers, free_port
from tests.servers.image import BASE

pytestmark = pytest.mark.timeout(900)
"""Whoever is first installs the image's packages."""

PASSWORD = "seed-secret"
MARIADB = """\
set -e
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --user=mysql --datadir=/var/lib/mysql --auth-root-authentication-method=normal >/dev/null
    cat >/tmp/first.sql <<END
ALTER USER root@localhost IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
CREATE USER root@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
END
    first=--init-file=/tmp/first.sql
fi
exec mariadbd --user=mysql --bind-address=0.0.0.0 $first
"""


def test_E3_a_container_installs_packages_over_its_bridge(wharf: Servers) -> None:
    done = wharf.ok(
        "run",
        "--rm",
        BASE,
        "sh",
        "-c",
        "apt-get update -qq && apt-get install -qqy --no-install-recommends hello >/dev/null && hello",
    )
    assert done == "Hello, world!"


def test_I2_mariadb_with_three_binds_keeps_its_data(wharf: Servers, place: Path, port: int) -> None:
    for name in ("conf", "data", "logs"):
        (place / name).mkdir()
        (place / name).chmod(0o777)
    (place / "conf" / "seed.cnf").write_text("[mariadbd]\nmax_connections=77\nlog_error=/logs/error.log\n")

    def start(name: str) -> None:
        binds = (
            *("-v", f"{place}/conf:/etc/mysql/mariadb.conf.d", "-v", f"{place}/logs:/logs"),
            *("-v", f"{place}/data:/var/lib/mysql"),
        )
        options = (
            "-p",
            f"{port}:3306",
            "-e",
            f"MYSQL_ROOT_PASSWORD={PASSWORD}",
            *binds,
            "--tmpfs",
            "/run/mysqld:mode=777",
        )
        wharf.ok("run", "-d", "--name", name, *options, wharf.image, "sh", "-c", MARIADB)

    def query(sql: str, user: str = "root", password: str = PASSWORD) -> str:
        return wharf.outside("mariadb", "-h127.0.0.1", f"-P{port}", f"-u{user}", f"-p{password}", "-N", "-e", sql)

    def answers() -> bool:
        words = ("run", "--rm", "--network", "host", wharf.image, "mariadb", "-h127.0.0.1", f"-P{port}", "-uroot")
        return wharf(*words, f"-p{PASSWORD}", "-e", "SELECT 1").code == 0

    start("db")
    wharf.until("the database to answer", answers)
    assert query("SELECT @@max_connections") == "77"
    query("CREATE DATABASE seeds; CREATE TABLE seeds.kept (word TEXT); INSERT INTO seeds.kept VALUES ('stays')")
    query("GRANT SELECT ON seeds.* TO reader@'%' IDENTIFIED BY 'reading'")
    wharf.ok("restart", "db")
    wharf.until("the database to answer again", answers)
    assert query("SELECT word FROM seeds.kept", "reader", "reading") == "stays"
    wharf.ok("rm", "-f", "db")
    start("db2")
    wharf.until("the new container to answer", answers)
    assert query("SELECT word FROM seeds.kept", "reader", "reading") == "stays"
    assert (place / "logs" / "error.log").exists()


def test_I3_tomcat_serves_what_is_dropped_into_a_bound_directory(wharf: Servers, place: Path, port: int) -> None:
    (place / "ROOT").mkdir()
    (place / "ROOT" / "hello.jsp").write_text("<%= 6 * 7 %> of <%= request.getServletPath() %>")
    make = (
        "cp -r /etc/tomcat10 /srv/conf && mkdir -p /srv/logs /srv/temp /srv/work && CATALINA_HOME=/usr/share/tomcat10 "
    )
    serve = f"{make} CATALINA_BASE=/srv exec /usr/share/tomcat10/bin/catalina.sh run"
    wharf.ok(
        *("run", "-d", "--name", "tomcat", "-p", f"{port}:8080", "-v", f"{place}:/srv/webapps"),
        *(wharf.image, "sh", "-c", serve),
    )
    assert wharf.page(port, "/hello.jsp", within_s=120).strip() == "42 of /hello.jsp"
    (place / "ROOT" / "late.jsp").write_text("dropped <%= 1 + 1 %>")
    assert wharf.page(port, "/late.jsp").strip() == "dropped 2"


def test_I4_redis_with_its_own_configuration_keeps_what_it_was_given(wharf: Servers, place: Path, port: int) -> None:
    (place / "redis.conf").write_text("bind 0.0.0.0\nprotected-mode no\nmaxmemory 48mb\n")
    (place / "data").mkdir()
    words = ("redis-server", "/etc/redis/own.conf", "--appendonly", "yes", "--dir", "/data")
    wharf.ok(
        *("run", "-d", "--name", "redis", "-p", f"{port}:6379", "-v", f"{place}/redis.conf:/etc/redis/own.conf:ro"),
        *("-v", f"{place}/data:/data", wharf.image, *words),
    )
    wharf.until("redis to answer", lambda: wharf("exec", "redis", "redis-cli", "ping").out == "PONG\n")
    assert wharf.ok("exec", "redis", "redis-cli", "set", "kept", "value") == "OK"
    assert wharf.ok("exec", "redis", "redis-cli", "config", "get", "maxmemory").split() == ["maxmemory", "50331648"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET kept\r\n")
        assert connection.recv(100) == b"$5\r\nvalue\r\n"
    terminal = wharf.terminal("exec", "-it", "redis", "sh", "-c", "read go; exec redis-cli")
    terminal.resize(30, 100)  # or it asks the terminal how wide it is
    terminal.type("\r")
    terminal.expect("127.0.0.1:6379>")
    terminal.type("get kept\r")
    terminal.expect('"value"')
    terminal.type("exit\r")
    assert terminal.wait() == 0
    wharf.ok("restart", "redis")
    wharf.until("redis to be back", lambda: wharf("exec", "redis", "redis-cli", "get", "kept").out == "value\n")


def test_I5_a_page_is_edited_committed_and_served_by_the_second_version(wharf: Servers) -> None:
    first, second = free_port(), free_port()
    serve = ("nginx", "-g", "daemon off;")
    wharf.ok("run", "-d", "--name", "webserver", "-p", f"{first}:80", wharf.image, *serve)
    assert "Welcome to nginx" in wharf.page(first)
    wharf.ok("exec", "webserver", "sh", "-c", "echo '<h1>修改了默认首页</h1>' > /var/www/html/index.html")
    wharf.ok("commit", "--author", "muyu", "--message", "修改了默认首页", "webserver", "httpd:v2")
    assert "修改了默认首页" in wharf.ok("history", "--no-trunc", "httpd:v2")
    wharf.ok("run", "-d", "--name", "v2", "-p", f"{second}:80", "httpd:v2")
    assert wharf.page(second) == "<h1>修改了默认首页</h1>\n"
    wharf.ok("rm", "-f", "v2", "webserver")
    wharf.ok("rmi", "httpd:v2")


def test_I10_ssh_is_reached_by_a_published_port(wharf: Servers, place: Path, port: int) -> None:
    keys = place / "keys"
    keys.mkdir(mode=0o700)
    mount = ("-v", f"{keys}:/keys")
    wharf.ok("run", "--rm", *mount, wharf.image, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/keys/id")
    serve = "mkdir -p /run/sshd /root/.ssh && cp /keys/id.pub /root/.ssh/authorized_keys && exec /usr/sbin/sshd -D -e"
    wharf.ok("run", "-d", "--name", "gogs", "-p", f"{port}:22", *mount, wharf.image, "sh", "-c", serve)
    ask = ("ssh", "-i", "/keys/id", "-o", "StrictHostKeyChecking=no", "-p", str(port), "root@127.0.0.1", "hostname")

    def reached() -> bool:
        return wharf("run", "--rm", "--network", "host", *mount, wharf.image, *ask).code == 0

    wharf.until("ssh to answer", reached)
    assert wharf.ok("run", "--rm", "--network", "host", *mount, wharf.image, *ask) == wharf.ok(
        "exec", "gogs", "hostname"
    )


def test_I13_E2_flask_says_hello_on_the_port_that_was_exposed(wharf: Servers, place: Path) -> None:
    (place / "app.py").write_text(
        "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef hello():\n    return 'Hello world!'\n"
    )
    wharf.ok(
        *("run", "-d", "-P", "--expose", "5000", "--name", "webapp", "-v", f"{place}:/opt/webapp", "-w", "/opt/webapp"),
        *(wharf.image, "flask", "run", "--host", "0.0.0.0"),
    )
    shown = wharf.ok("port", "webapp", "5000").splitlines()
    assert wharf.page(int(shown[0].rpartition(":")[2])) == "Hello world!"


def test_E1_E5_names_are_answered_over_udp_by_a_server_in_a_container(wharf: Servers, port: int) -> None:
    """A name server of the container's own, on port 53 beside ours, published by UDP, and found by its name."""
    wharf.ok("network", "create", "names")
    serve = ("dnsmasq", "-k", "--no-resolv", "--no-hosts", "--address=/harbour.test/10.11.12.13", "--user=root")
    wharf.ok(
        *("run", "-d", "--name", "dns", "--network", "names", "-p", f"127.0.0.1:{port}:53/udp", wharf.image, *serve)
    )
    question = b"\1\2\1\0\0\1\0\0\0\0\0\0\7harbour\4test\0\0\1\0\1"
    answer = b""

    def answered() -> bool:
        nonlocal answer
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.sendto(question, ("127.0.0.1", port))
            try:
                answer = asking.recv(512)
            except OSError:
                return False
        return True

    wharf.until("the name server to answer", answered)
    assert answer.endswith(struct.pack("4B", 10, 11, 12, 13))
    found = wharf.ok("run", "--rm", "--network", "names", wharf.image, "getent", "hosts", "dns")
    assert found.split()[0] == wharf.field("dns", "{{.NetworkSettings.Networks.names.IPAddress}}")


def test_E1_servers_come_back_on_the_same_port_when_their_policy_restarts_them(wharf: Servers, port: int) -> None:
    count = "echo $(($(cat /count 2>/dev/null) + 1)) >/count; cp /count /var/www/html/index.html"
    serve = f"{count}; exec nginx -g 'daemon off;'"
    wharf.ok(*("run", "-d", "--name", "web", "--restart", "always", "-p", f"{port}:80", wharf.image, "sh", "-c", serve))
    assert wharf.page(port) == "1\n"
    address = wharf.field("web", "{{.NetworkSettings.IPAddress}}")
    wharf.ok("exec", "web", "sh", "-c", "kill -QUIT 1")
    wharf.until("the second run to answer", lambda: wharf.page(port) == "2\n")
    assert wharf.field("web", "{{.NetworkSettings.IPAddress}}") == address
