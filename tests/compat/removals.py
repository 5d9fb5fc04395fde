"""What `rmi`, `image prune` and `tag` say and do, line by line beside the docker CLI (row C5)."""

from __future__ import annotations

import re

from tests.compat.targets import Cli, opened


def _masked(text: str, image: str) -> str:
    for pattern, mask in (
        (r"\b[0-9a-f]{64}\b", "<long id>"),
        (r"\b[0-9a-f]{12}\b", "<short id>"),
        (r"Total reclaimed space: .*", "Total reclaimed space: <size>"),  # ours has archives to free as well
        (r"^(Error response from daemon|Error|wharf): ", ""),
        (re.escape(image), "<image>"),
        (re.escape(image.removesuffix(":latest")), "<image>"),
    ):
        text = re.sub(pattern, mask, text, flags=re.MULTILINE)
    return text


class _Teller:
    """Runs lines and keeps what they said; of an error its first line, for ours have a hint after it."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.told: list[tuple[str, int, str, str]] = []

    def __call__(self, line: str, *, counts: bool = True) -> str:
        done = self.cli(*(self.cli.image if word == "IMAGE" else word for word in line.split()))
        if counts:
            error = _masked(done.err, self.cli.image).strip().partition("\n")[0]
            self.told.append((_masked(line, self.cli.image), done.code, _masked(done.out, self.cli.image), error))
        return done.out.strip()

    def silently(self, *words: str) -> str:
        return self.cli.ok(*(self.cli.image if word == "IMAGE" else word for word in words))


def _names(tell: _Teller) -> None:
    shown = tell.silently("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").split()
    tell.told.append(("images", 0, " ".join(sorted(_masked(name, tell.cli.image) for name in shown)), ""))


def _script(tell: _Teller) -> None:
    options = tell.cli.run_options
    for name in ("a/x:1", "a/x:2", "b:1"):
        tell(f"tag IMAGE {name}")
    image_id = tell.silently("images", "-q", "--no-trunc", "IMAGE").split()[0]
    for line in ("a/x:1", "nosuch:1", "-f nosuch:1", "deadbeef0000", image_id, image_id[7:19], "--no-prune a/x:2"):
        tell(f"rmi {line}")
    tell.silently("create", "--name", "stopped", *options, "b:1", "true")
    for line in ("b:1", "IMAGE", image_id):  # the last two: its only name, and a stopped container
        tell(f"rmi {line}")
    tell.silently("run", "--name", "one", *options, "IMAGE", "sh", "-c", "echo 1 >/one")
    tell.silently("commit", "one", "chain:1")
    tell.silently("run", "--name", "two", *options, "chain:1", "sh", "-c", "echo 2 >/two")
    tell.silently("commit", "two", "chain:2")
    tell.silently("rm", "one", "two", "stopped")
    tell("rmi chain:1")
    _names(tell)
    parent = tell.silently("history", "-q", "--no-trunc", "chain:2").split()[1]
    for line in (parent, f"-f {parent}", "--no-prune chain:2"):
        tell(f"rmi {line}")
    _names(tell)
    tell("image prune -f")
    _names(tell)
    tell.silently("run", "-d", "--name", "runs", *options, "IMAGE", "sleep", "1000")
    tell("rmi IMAGE")
    tell(f"rmi -f {image_id}")
    tell.silently("tag", "IMAGE", "more:1")
    tell(f"rmi {image_id}")
    tell(f"rmi -f {image_id}")
    tell("rmi -f IMAGE")
    _names(tell)
    tell.silently("rm", "-f", "runs")
    tell("image prune -f --filter until=24h")
    tell("image prune -a -f --filter label=none")
    tell("image prune -a -f --filter foo=x")
    tell("tag nosuch x:1")
    tell("history nosuch")


def test_C5_every_line_of_removals_reads_alike() -> None:
    told = []
    for name in ("wharf", "docker"):
        for cli in opened(name):
            tell = _Teller(cli)
            _script(tell)
            told.append(tell.told)
    ours, theirs = told
    different = [
        (mine, other)
        for mine, other in zip(ours, theirs, strict=True)
        if (mine[:3], mine[3].lower()) != (other[:3], other[3].lower())
    ]
    assert different == []
