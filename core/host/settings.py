"""/etc/wharf/daemon.json: Docker's keys where Docker has one. A broken file stops everything and says where.

data-root    where containers, images and volumes lie
exec-root    where this boot's sockets lie
firewall-backend  nftables, iptables or none; the best there is where it is not set
storage-driver  how the layers of images are kept: overlay2 (unpacked) or erofs (tars, mounted as they lie);
             WHARF_STORAGE_DRIVER in the environment comes first
log-driver   for containers made without --log-driver; local where it is not set
log-opts     its options, texts by name
registry-mirrors          URLs that are asked before Docker Hub, in order
insecure-registries       hosts and networks that may be spoken to without TLS or a certificate; loopback always may
max-concurrent-downloads  layers fetched at once (3); max-concurrent-uploads: sent at once (5)
max-download-attempts     how often a layer is tried (5)
proxies                   {http-proxy, https-proxy, no-proxy}; the environment's where it is not set
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from core import about
from core.errors import InvalidInput, wrapped
from core.model.log_drivers import DEFAULT_DRIVER, LogConfig, check_log
from core.model.registry_settings import Proxies, RegistrySettings, check_insecure, check_mirror

_KEYS = {
    *("data-root", "exec-root", "firewall-backend", "log-driver", "log-opts", "storage-driver"),
    *("registry-mirrors", "insecure-registries", "proxies"),
    *("max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts"),
}
_PROXY_KEYS = {"http-proxy", "https-proxy", "no-proxy"}
FIREWALLS = ("nftables", "iptables", "none")
STORAGE_DRIVERS = ("overlay2", "erofs")


class Settings(NamedTuple):
    """What the file sets; None where it says nothing."""

    data_root: Path | None = None
    exec_root: Path | None = None
    log: LogConfig = LogConfig()
    firewall: str = ""
    storage_driver: str = ""
    registries: RegistrySettings = RegistrySettings()


def read_settings(path: Path | None = None) -> Settings:
    """Read the file; without one everything has its default.

    Raises: InvalidInput: naming the file, and the line and column or the key that is wrong.
    """
    path = path or Path(about.SETTINGS_DIR) / "daemon.json"
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Settings(storage_driver=_storage_driver(path, {}))
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: it is not UTF-8 text: byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise wrapped(error, "read", path) from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{path}: line {error.lineno} column {error.colno}: {error.msg.lower()}", hint="correct it, or move it away"
        ) from None
    except RecursionError:
        raise InvalidInput(f"{path}: it is nested too deeply", hint="correct it, or move it away") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{path}: it must hold one object, {{…}}", hint="correct it, or move it away")
    if unknown := sorted(set(document) - _KEYS):
        raise InvalidInput(
            f"{path}: the following directives don't match any configuration option: {', '.join(unknown)}",
            hint=f"this version knows {', '.join(sorted(_KEYS))}",
        )
    return Settings(
        _directory(path, document, "data-root"),
        _directory(path, document, "exec-root"),
        _log(path, document),
        _firewall(path, document),
        _storage_driver(path, document),
        _registries(path, document),
    )


def _registries(path: Path, document: dict[str, object]) -> RegistrySettings:
    defaults = RegistrySettings()
    try:
        return RegistrySettings(
            mirrors=tuple(check_mirror(url) for url in _texts(path, document, "registry-mirrors")),
            insecure=tuple(check_insecure(entry) for entry in _texts(path, document, "insecure-registries")),
            downloads=_count(path, document, "max-concurrent-downloads", defaults.downloads),
            uploads=_count(path, document, "max-concurrent-uploads", defaults.uploads),
            attempts=_count(path, document, "max-download-attempts", defaults.attempts),
            proxies=_proxies(path, document),
        )
    except InvalidInput as error:
        raise (
            error if error.message.startswith(str(path)) else InvalidInput(f"{path}: {error.message}", hint=error.hint)
        ) from None


def _texts(path: Path, document: dict[str, object], key: str) -> list[str]:
    found = document.get(key) or []
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        raise InvalidInput(f"{path}: {key} must be a list of texts, not {found!r}", hint=f'write "{key}": ["…"]')
    return found


def _count(path: Path, document: dict[str, object], key: str, default: int) -> int:
    found = document.get(key, default)
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= 1000:
        raise InvalidInput(f"{path}: {key} must be a number from 1 to 1000, not {found!r}", hint=f"{default} is usual")
    return found


def _proxies(path: Path, document: dict[str, object]) -> Proxies:
    found = document.get("proxies") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput(  # without what it holds: there may be a password in it
            f"{path}: proxies must be an object of texts", hint=f"it may have {', '.join(sorted(_PROXY_KEYS))}"
        )
    if unknown := sorted(set(found) - _PROXY_KEYS):
        raise InvalidInput(
            f"{path}: proxies has no {', '.join(unknown)}", hint=f"it may have {', '.join(sorted(_PROXY_KEYS))}"
        )
    return Proxies(
        http=found.get("http-proxy", ""), https=found.get("https-proxy", ""), none_for=found.get("no-proxy", "")
    )


def _firewall(path: Path, document: dict[str, object]) -> str:
    kind = document.get("firewall-backend", "")
    if kind and kind not in FIREWALLS:
        raise InvalidInput(
            f"{path}: firewall-backend must be {', '.join(FIREWALLS[:-1])} or {FIREWALLS[-1]}, not {kind!r}",
            hint="leave it out for the best that this host has",
        )
    return str(kind)


def _storage_driver(path: Path, document: dict[str, object]) -> str:
    named = os.environ.get(about.STORAGE_DRIVER_VARIABLE)
    driver, where = (named, about.STORAGE_DRIVER_VARIABLE) if named else (document.get("storage-driver", ""), str(path))
    if driver and driver not in STORAGE_DRIVERS:
        raise InvalidInput(
            f"{where}: storage-driver must be {' or '.join(STORAGE_DRIVERS)}, not {driver!r}",
            hint="leave it out for what is usual",
        )
    return str(driver)


def _log(path: Path, document: dict[str, object]) -> LogConfig:
    driver, options = document.get("log-driver", DEFAULT_DRIVER), document.get("log-opts") or {}
    if not isinstance(driver, str):
        raise InvalidInput(f"{path}: log-driver must be a text, not {driver!r}", hint="write for example json-file")
    if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
        raise InvalidInput(f"{path}: log-opts must be an object of texts", hint='write numbers as "3"')
    config = LogConfig(driver=driver, options=options)
    try:
        check_log(config)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", hint=error.hint) from None
    return config


def _directory(path: Path, document: dict[str, object], key: str) -> Path | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not os.path.isabs(value):
        raise InvalidInput(f"{path}: {key} must be an absolute path, not {value!r}", hint="begin it with /")
    return Path(value)
