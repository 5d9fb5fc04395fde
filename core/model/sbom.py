"""A list of an image's software as documents for others: SPDX 2.3 and CycloneDX 1.5, both as JSON values.

The same image gives the same document: its identity and its time are the image's.
Source: spdx.github.io/spdx-spec/v2.3; cyclonedx.org/docs/1.5/json; github.com/package-url/purl-spec.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import msgspec

from core.model.image import Image, Package

_PURL_TYPES = {"dpkg": "deb", "apk": "apk", "rpm": "rpm", "pip": "pypi", "npm": "npm"}
_DISTRIBUTIONS = {"dpkg": "debian", "apk": "alpine", "rpm": "fedora"}
"""Whose a package is taken to be where the image does not say."""
_KNOWN_LICENSES = frozenset(
    """0BSD AFL-2.1 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0 BSD-1-Clause
    BSD-2-Clause BSD-3-Clause BSD-4-Clause BSL-1.0 BlueOak-1.0.0 CC-BY-3.0 CC-BY-4.0 CC0-1.0 CDDL-1.0 EPL-1.0 EPL-2.0
    GPL-1.0-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later HPND ICU IJG ISC LGPL-2.0-only
    LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later Libpng MIT MIT-0 MPL-1.1 MPL-2.0
    NCSA OFL-1.1 OpenSSL PSF-2.0 Python-2.0 Ruby SMLNJ Unicode-DFS-2016 Unlicense W3C WTFPL X11 ZPL-2.1 Zlib
    bzip2-1.0.6 curl""".split()
)
_WORDS = re.compile(r"[()]|[^\s()]+")


class Distribution(msgspec.Struct, frozen=True):
    """Whose packages an image's are, as its os-release says; empty where it has none."""

    id: str = ""
    version: str = ""


def parse_os_release(data: bytes) -> Distribution:
    """ID and VERSION_ID of an os-release file. Source: os-release(5)."""
    fields = {}
    for line in data.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip()] = value.strip().strip("\"'")
    return Distribution(_word(fields.get("ID", "")), _word(fields.get("VERSION_ID", "")))


def _word(text: str) -> str:
    return text if re.fullmatch(r"[a-z0-9._-]{0,64}", text) else ""


def package_url(package: Package, distribution: Distribution) -> str:
    """Its name for the whole world: `pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12`."""
    kind = _PURL_TYPES[package.manager]
    name, version = package.name, quote(package.version, safe=".-_~")
    if package.manager == "npm":
        scope, slash, rest = name.partition("/")
        path = f"{quote(scope, safe='')}/{quote(rest, safe='')}" if slash else quote(name, safe="")
    elif package.manager == "pip":
        path = quote(name.lower().replace("_", "-"), safe=".-")
    else:
        path = f"{distribution.id or _DISTRIBUTIONS[package.manager]}/{quote(name, safe='.-_~')}"
    url = f"pkg:{kind}/{path}" + (f"@{version}" if version else "")
    qualifiers = []
    if package.manager in _DISTRIBUTIONS:
        if package.architecture:
            qualifiers.append(f"arch={quote(package.architecture, safe='.-_~')}")
        if distribution.id and distribution.version:
            qualifiers.append(f"distro={distribution.id}-{distribution.version}")
        if package.origin and package.origin != package.name and package.manager != "apk":
            qualifiers.append(f"upstream={quote(package.origin, safe='.-_~')}")
    return url + ("?" + "&".join(qualifiers) if qualifiers else "")


def license_expression(text: str) -> str:
    """A declared license as an SPDX expression, where it is one of well-known names; else empty."""
    words = _WORDS.findall(text)
    wants_name, depth = True, 0
    for word in words:
        if word == "(" and wants_name:
            depth += 1
        elif word == ")" and not wants_name and depth:
            depth -= 1
        elif word in ("AND", "OR") and not wants_name:
            wants_name = True
        elif word in _KNOWN_LICENSES and wants_name:
            wants_name = False
        else:
            return ""
    return " ".join(words).replace("( ", "(").replace(" )", ")") if words and not wants_name and not depth else ""


def _identity(image: Image) -> str:
    return str(uuid5(NAMESPACE_URL, image.id))


def spdx_document(
    image: Image, name: str, packages: Sequence[Package], distribution: Distribution, *, created: str, tool: str
) -> dict[str, Any]:
    """An SPDX 2.3 document.

    Args: name: what the image is called. created: RFC 3339, whole seconds, Z. tool: name-version.
    """
    subject = {
        "SPDXID": "SPDXRef-Image",
        "name": name,
        "versionInfo": image.id,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": image.id.removeprefix("sha256:")}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
    }
    rows = [_spdx_package(number, package, distribution) for number, package in enumerate(packages, 1)]
    relationships = [_related("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")]
    relationships += [_related("SPDXRef-Image", "CONTAINS", row["SPDXID"]) for row in rows]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{quote(name, safe='')}-{_identity(image)}",
        "creationInfo": {"created": created, "creators": [f"Tool: {tool}"]},
        "packages": [subject, *rows],
        "relationships": relationships,
    }


def _related(subject: str, kind: str, thing: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": thing}


def _spdx_package(number: int, package: Package, distribution: Distribution) -> dict[str, Any]:
    row: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{number}",
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license_expression(package.license) or "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": f"listed by {package.manager} in {package.path}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package_url(package, distribution),
            }
        ],
    }
    if package.license and row["licenseDeclared"] == "NOASSERTION":
        row["licenseComments"] = f"declared as: {package.license}"
    return row


def cyclonedx_document(
    image: Image,
    name: str,
    packages: Sequence[Package],
    distribution: Distribution,
    *,
    created: str,
    tool: tuple[str, str],
) -> dict[str, Any]:
    """A CycloneDX 1.5 document. Args: as spdx_document(); tool: name and version."""
    subject = {
        "bom-ref": image.id,
        "type": "container",
        "name": name,
        "version": image.id,
        "hashes": [{"alg": "SHA-256", "content": image.id.removeprefix("sha256:")}],
    }
    components = []
    for number, package in enumerate(packages, 1):
        url = package_url(package, distribution)
        component: dict[str, Any] = {
            "bom-ref": f"{number}-{url}",
            "type": "library",
            "name": package.name,
            "version": package.version,
            "purl": url,
            "properties": [
                {"name": "package:manager", "value": package.manager},
                {"name": "package:path", "value": package.path},
            ],
        }
        if expression := license_expression(package.license):
            component["licenses"] = [{"expression": expression}]
        elif package.license:
            component["licenses"] = [{"license": {"name": package.license}}]
        components.append(component)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{_identity(image)}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": {"components": [{"type": "application", "name": tool[0], "version": tool[1]}]},
            "component": subject,
        },
        "components": components,
    }
