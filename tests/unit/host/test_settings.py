"""The settings file: every way to get it wrong is said in one line that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.host.settings import Settings, read_settings


def test_no_file_is_all_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "daemon.json") == Settings()


def test_docker_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text('{"data-root": "/srv/wharf", "exec-root": "/run/other", "firewall-backend": "iptables"}')
    assert read_settings(path) == Settings(Path("/srv/wharf"), Path("/run/other"), firewall="iptables")


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
    ],
)
def test_broken_file_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_settings(path)
    assert str(path) in caught.value.message
    assert said in caught.value.message
