"""The settings file: every way to get it wrong is said in one line that names the place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.host.settings import Settings, read_settings
from core.model.registry_settings import Proxies, RegistrySettings


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "daemon.json") == Settings()


def test_docker_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"data-root": "/srv/wharf", "exec-root": "/run/other", "firewall-backend": "iptables"}')
    assert read_settings(path) == Settings(Path("/srv/wharf"), Path("/run/other"), firewall="iptables")


def test_the_storage_driver_is_the_environments_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"storage-driver": "erofs"}')
    assert read_settings(path).storage_driver == "erofs"
    monkeypatch.setenv("WHARF_STORAGE_DRIVER", "overlay2")
    assert read_settings(path).storage_driver == "overlay2"
    assert read_settings(tmp_path / "none").storage_driver == "overlay2"
    monkeypatch.setenv("WHARF_STORAGE_DRIVER", "zfs")
    with pytest.raises(InvalidInput, match="WHARF_STORAGE_DRIVER: storage-driver must be overlay2 or erofs"):
        read_settings(path)


def test_registries_have_dockers_keys(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(
        json.dumps(
            {
                "registry-mirrors": ["https://one.example/", "http://two.example:5000"],
                "insecure-registries": ["registry.example:5000", "10.1.0.0/16"],
                "max-concurrent-downloads": 7,
                "max-concurrent-uploads": 1,
                "max-download-attempts": 2,
                "proxies": {"http-proxy": "http://p:1", "https-proxy": "http://p:2", "no-proxy": "x,y"},
            }
        )
    )
    assert read_settings(path).registries == RegistrySettings(
        mirrors=("https://one.example", "http://two.example:5000"),
        insecure=("registry.example:5000", "10.1.0.0/16"),
        downloads=7,
        uploads=1,
        attempts=2,
        proxies=Proxies(http="http://p:1", https="http://p:2", none_for="x,y"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  "data-root": "/a"\n  "exec-root": "/b"\n}', "line 3 column 3"),
        ('{"data-root" "/a"}', "line 1 column 14"),
        ("", "line 1 column 1"),
        ("[]", "one object"),
        ('{"data-rot": "/a"}', "data-rot"),
        ('{"data-root": 5}', "absolute path"),
        ('{"data-root": "a"}', "absolute path"),
        ("[" * 100_000, "nested"),
        ('{"firewall-backend": "pf"}', "nftables, iptables or none"),
        ('{"firewall-backend": ["nftables"]}', "nftables, iptables or none"),
        ('{"storage-driver": "btrfs"}', "overlay2 or erofs, not 'btrfs'"),
        ('{"storage-driver": ["erofs"]}', "overlay2 or erofs"),
        ('{"registry-mirrors": "https://x"}', "registry-mirrors must be a list of texts"),
        ('{"registry-mirrors": [1]}', "registry-mirrors must be a list of texts"),
        ('{"registry-mirrors": ["x"]}', "invalid mirror"),
        ('{"insecure-registries": {"a": 1}}', "insecure-registries must be a list of texts"),
        ('{"insecure-registries": ["https://x"]}', "should not contain '://'"),
        ('{"max-concurrent-downloads": "3"}', "max-concurrent-downloads must be a number"),
        ('{"max-concurrent-uploads": 0}', "max-concurrent-uploads must be a number"),
        ('{"max-download-attempts": true}', "max-download-attempts must be a number"),
        ('{"proxies": "http://x"}', "proxies must be an object of texts"),
        ('{"proxies": {"ftp-proxy": "x"}}', "proxies has no ftp-proxy"),
    ],
)
def test_broken_file_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_settings(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message
