"""Lists of software as documents: the same image gives the same one, and names are those of the world."""

from __future__ import annotations

import json

import pytest

from core.model.image import Image, ImageConfig, Package
from core.model.sbom import (
    Distribution,
    cyclonedx_document,
    license_expression,
    package_url,
    parse_os_release,
    spdx_document,
)

IMAGE = Image(
    id="sha256:" + "ab" * 32, tags=("x:1",), created_ns=0, size_bytes=0, config=ImageConfig(), layers=(), diff_ids=()
)
DEBIAN = Distribution("debian", "12")
PACKAGES = [
    Package(name="libc6", version="2.36-9+deb12u4", manager="dpkg", architecture="amd64", origin="glibc", path="/s"),
    Package(name="@scope/left pad", version="1.0.0", manager="npm", license="MIT", path="/app/package.json"),
    Package(name="Typing_Extensions", version="4", manager="pip", license="PSF-like <b>", path="/x/METADATA"),
]


def test_packages_have_names_that_the_world_knows() -> None:
    assert [package_url(package, DEBIAN) for package in PACKAGES] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:npm/%40scope/left%20pad@1.0.0",
        "pkg:pypi/typing-extensions@4",
    ]
    apk = Package(name="musl", version="1.2.4-r2", manager="apk", architecture="x86_64")
    assert package_url(apk, Distribution()) == "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64"


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("(MIT OR Apache-2.0) AND  ISC", "(MIT OR Apache-2.0) AND ISC"),
        ("MIT OR", ""),
        ("AND MIT", ""),
        ("MIT MIT", ""),
        ("(MIT", ""),
        ("()", ""),
        ("Anything", ""),
        ("", ""),
    ],
)
def test_only_licenses_of_known_names_are_expressions(text: str, expression: str) -> None:
    assert license_expression(text) == expression


def test_a_distribution_is_what_its_os_release_says() -> None:
    assert parse_os_release(b'NAME="Debian"\nID=debian\nVERSION_ID="12"\n') == DEBIAN
    assert parse_os_release(b"ID=../../x\nVERSION_ID=$(x)\n\xff") == Distribution()


def test_spdx_and_cyclonedx_say_the_same_and_are_the_same_every_time() -> None:
    def documents() -> tuple[dict[str, object], dict[str, object]]:
        created = "2024-01-02T03:04:05Z"
        return (
            spdx_document(IMAGE, "x:1", PACKAGES, DEBIAN, created=created, tool="wharf-1"),
            cyclonedx_document(IMAGE, "x:1", PACKAGES, DEBIAN, created=created, tool=("wharf", "1")),
        )

    spdx, cyclonedx = documents()
    assert json.dumps([spdx, cyclonedx]) == json.dumps(documents())
    packages = spdx["packages"]
    assert isinstance(packages, list)
    assert [row["name"] for row in packages] == ["x:1", "libc6", "@scope/left pad", "Typing_Extensions"]
    assert [row["licenseDeclared"] for row in packages[1:]] == ["NOASSERTION", "MIT", "NOASSERTION"]
    assert packages[3]["licenseComments"] == "declared as: PSF-like <b>"
    components = cyclonedx["components"]
    assert isinstance(components, list)
    assert [one["purl"] for one in components] == [row["externalRefs"][0]["referenceLocator"] for row in packages[1:]]
    assert components[1]["licenses"] == [{"expression": "MIT"}]
    assert components[2]["licenses"] == [{"license": {"name": "PSF-like <b>"}}]
    ids = {row["SPDXID"] for row in packages} | {"SPDXRef-DOCUMENT"}
    relationships = spdx["relationships"]
    assert isinstance(relationships, list)
    assert all({one["spdxElementId"], one["relatedSpdxElement"]} <= ids for one in relationships)
    other = spdx_document(
        Image(**{**{f: getattr(IMAGE, f) for f in IMAGE.__struct_fields__}, "id": "sha256:" + "cd" * 32}),
        "x:1", [], DEBIAN, created="", tool="",
    )  # fmt: skip
    assert other["documentNamespace"] != spdx["documentNamespace"]
