"""`--security-opt`: how a container's protection differs from the default."""

from __future__ import annotations

import msgspec

from core.errors import InvalidInput

UNCONFINED = "unconfined"
BUILTIN = "builtin"
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


class Protection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options, read. `seccomp` is empty (the default), unconfined, builtin, or a profile's JSON text."""

    words: tuple[str, ...] = ()
    """As inspect shows them."""
    seccomp: str = ""
    no_new_privileges: bool = False
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    system_paths_unconfined: bool = False
    writable_cgroups: bool = False


def split_option(text: str) -> tuple[str, str]:
    """Key and value of one option, parted by = (or, as docker once had it, by a colon).

    Raises: InvalidInput: with docker's words.
    """
    key, equals, value = text.partition("=")
    if not equals:
        key, equals, value = text.partition(":")
    if key == "no-new-privileges" and not equals:
        return key, "true"
    if not value:
        raise InvalidInput(f'Invalid --security-opt: "{text}"', hint="write for example no-new-privileges")
    return key, value


def read_protection(words: tuple[str, ...]) -> Protection:
    """Read all options; the last of a kind counts. A seccomp file has become its text before.

    Raises: InvalidInput: with docker's words.
    """
    fields: dict[str, object] = {}
    labels: list[str] = []
    for word in words:
        key, value = split_option(word)
        match key:
            case "seccomp":
                fields["seccomp"] = value
            case "apparmor":
                fields["apparmor"] = value
            case "label":
                labels.append(value)
            case "no-new-privileges" | "writable-cgroups" if value in _TRUE or value in _FALSE:
                fields[key.replace("-", "_")] = value in _TRUE
            case "systempaths" if value == UNCONFINED:
                fields["system_paths_unconfined"] = True
            case _:
                raise InvalidInput(
                    f'invalid --security-opt 2: "{word}"',
                    hint="seccomp=, no-new-privileges, apparmor=, label=, systempaths=unconfined or writable-cgroups=",
                )
    return msgspec.structs.replace(Protection(words=words, labels=tuple(labels)), **fields)
