"""Platforms: read as docker reads them, and matched from best to worst."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from core.model.platform import Platform, fitness, machine_platform, parse_platform


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("LINUX/ARM64", "linux/arm64"),
        ("arm64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/armhf", "linux/arm/v7"),
        ("windows/amd64", "windows/amd64"),
        ("linux", "linux/riscv64"),
    ],
)
def test_platforms_are_read(text: str, platform: str) -> None:
    assert str(parse_platform(text, "riscv64")) == platform


@pytest.mark.parametrize("text", ["", "/", "a/b/c/d", "linux/", "linux/am d64", "linux/\x1b", "x" * 50])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid platform"):
        parse_platform(text, "x86_64")


def test_machines_are_told_apart() -> None:
    names = ("x86_64", "aarch64", "armv7l", "i686", "s390x")
    assert [str(machine_platform(name)) for name in names] == [
        *("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/s390x"),
    ]


def test_older_arm_runs_on_newer_and_not_the_other_way() -> None:
    v7 = Platform("linux", "arm", "v7")
    offers = ["v5", "v6", "v7", "v8", ""]
    assert [fitness(v7, Platform("linux", "arm", variant)) for variant in offers] == [2, 1, 0, None, 0]
    assert fitness(Platform("linux", "amd64"), Platform("linux", "amd64", "v3")) is None
    assert fitness(Platform("linux", "amd64", "v3"), Platform("linux", "amd64")) == 2
    assert fitness(Platform("linux", "arm64"), Platform("linux", "arm64", "v8")) == 0
    assert fitness(Platform("linux", "amd64"), Platform("linux", "arm64")) is None
