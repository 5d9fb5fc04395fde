"""--change lines."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput
from core.images.changes import apply_changes


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('CMD ["top","-b"]', "Cmd", ["top", "-b"]),
        ("cmd top -b", "Cmd", ["/bin/sh", "-c", "top -b"]),
        ("CMD [top", "Cmd", ["/bin/sh", "-c", "[top"]),
        ('ENTRYPOINT ["/x"]', "Entrypoint", ["/x"]),
        ("ENV A=1 B='2 3'", "Env", ["OLD=1", "A=1", "B=2 3"]),
        ("ENV A some words", "Env", ["OLD=1", "A=some words"]),
        ("ENV OLD=2", "Env", ["OLD=2"]),
        ("EXPOSE 80 53/UDP 90-91", "ExposedPorts", {"53/udp": {}, "80/tcp": {}, "90/tcp": {}, "91/tcp": {}}),
        ('LABEL a=1 "b c"="d e"', "Labels", {"a": "1", "b c": "d e"}),
        ("USER 1000:5", "User", "1000:5"),
        ('VOLUME ["/a","/b"]', "Volumes", {"/a": {}, "/b": {}}),
        ("VOLUME /a /b", "Volumes", {"/a": {}, "/b": {}}),
        ("WORKDIR sub/../dir", "WorkingDir", "/w/dir"),
        ("WORKDIR /abs", "WorkingDir", "/abs"),
        ("STOPSIGNAL SIGINT", "StopSignal", "SIGINT"),
        ("ONBUILD RUN x", "OnBuild", ["RUN x"]),
    ],
)
def test_C1_each_line_changes_its_key(line: str, key: str, value: Any) -> None:
    before = {"Env": ["OLD=1"], "WorkingDir": "/w"}
    after = apply_changes(before, [line])
    assert after[key] == value
    assert before == {"Env": ["OLD=1"], "WorkingDir": "/w"}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "FROM x",
        "RUN x",
        "CMD",
        "ENV A",
        "ENV A=1 B",
        "ENV 'A=1",
        "LABEL =x",
        "EXPOSE 0",
        "EXPOSE 70000",
        "EXPOSE 9-1",
        "EXPOSE x",
        "USER a b",
        "VOLUME [1]",
        "VOLUME [",
        "ONBUILD FROM x",
        "ONBUILD ONBUILD x",
    ],
)
def test_lines_that_can_not_be_read_are_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        apply_changes({}, [line])
