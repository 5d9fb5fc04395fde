"""Whom we believe, and who we are, behind TLS.

/etc/wharf/certs.d/<host[:port]>/   and then /etc/docker/certs.d/<host[:port]>/
    *.crt                            authorities that may vouch for this host, beside the system's
    client.cert, client.key          who we are to it; any other name will do for the pair
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from core import about
from core.errors import InvalidInput, wrapped

DIRECTORIES = (Path(about.SETTINGS_DIR) / "certs.d", Path("/etc/docker/certs.d"))


def tls_context(
    hosts: Sequence[str], *, is_verified: bool, directories: Sequence[Path] = DIRECTORIES
) -> ssl.SSLContext:
    """What a connection to a host is made with.

    Args: hosts: names of one server, as directories may be called.
    Raises: InvalidInput: a file that is no certificate or key, or half of a pair.
    """
    # the system's authorities take a while to load, and don't count where nobody is verified
    context = ssl.create_default_context() if is_verified else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for place in directories:
        for host in dict.fromkeys(hosts):
            if "/" not in host and not host.startswith("."):
                _take_in(context, place / host)
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _take_in(context: ssl.SSLContext, directory: Path) -> None:
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise wrapped(error, "read", directory) from error
    for name in names:
        path = directory / name
        try:
            match path.suffix:
                case ".crt":
                    context.load_verify_locations(path)
                case ".cert":
                    key = path.with_suffix(".key")
                    if key.name not in names:
                        raise InvalidInput(
                            f"missing key {key.name} for client certificate {name} in {directory}",
                            hint="CA certificates must use the extension .crt",
                        )
                    context.load_cert_chain(path, key, password="")
                case ".key" if path.with_suffix(".cert").name not in names:
                    raise InvalidInput(f"missing client certificate {path.stem}.cert for key {name} in {directory}")
        except ssl.SSLError as error:
            why = (error.reason or str(error)).lower().replace("_", " ")
            raise InvalidInput(
                f"{path}: it can't be used: {why}", hint="put a PEM file there, or move it away"
            ) from None
        except OSError as error:
            raise wrapped(error, "read", path) from error
