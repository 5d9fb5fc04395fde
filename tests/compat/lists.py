"""What lists print, cell by cell beside the docker CLI on one script (rows B1, B2, B3, B6-B12).

Every line is run by both; ids, moments and sizes that no two engines share are masked. Where two
things can't be the same, the line is not here but in the test that says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, opened

IMAGE = "box/img:1"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cli, Cli]]:
    """wharf and docker with the same containers, images and volumes."""
    made = [opened(name) for name in ("networked wharf", "networked docker")]
    ours, theirs = (next(one) for one in made)
    for cli in (ours, theirs):
        _script(cli)
    yield ours, theirs
    for cli in (ours, theirs):
        cli.clean()
    for one in made:
        next(one, None)


def _script(cli: Cli) -> None:
    cli.ok("tag", cli.image, IMAGE)

    def words(verb: str, *rest: str) -> list[str]:
        return [verb, *cli.run_options, *rest]

    cli(
        *words(
            "run",
            "--name",
            "ended",
            "-l",
            "a=1",
            "-l",
            "b=two",
            IMAGE,
            "sh",
            "-c",
            "echo new >/new; echo told; printf cut; rm /etc/group; exit 7",
        )
    )
    cli.ok(*words("run", "-d", "--name", "sleeper", "-l", "k=v", "-v", "vol:/data", IMAGE, "sleep", "1000"))
    cli.ok(*words("create", "--name", "new", IMAGE, "echo", "a b", "c"))
    cli.ok(*words("run", "-d", "--name", "frozen", "-v", "/anon", "-m", "64m", IMAGE, "sleep", "1000"))
    cli.ok("pause", "frozen")
    cli.ok("volume", "create", "--label", "x=y", "other")
    cli.ok("commit", "-c", "LABEL l=m", "-c", "EXPOSE 80", "-m", "message", "ended", "made:1")
    cli.ok(*words("create", "--name", "child", "made:1", "true"))


def masked(text: str, cli: Cli) -> str:
    """What a command printed, without what no two engines share."""
    text = text.replace(str(cli.directory), "<root>")
    for name in (cli.image, cli.image.removesuffix(":latest")):
        text = text.replace(name, "<first>")
    for pattern, mask in (
        (r"\b[0-9a-f]{64}\b", "<long id>"),
        (r"\b[0-9a-f]{14}…", "<cut id>"),
        (r"\b[0-9a-f]{12}\b", "<id>"),
        (r"Less than a second|About a minute|\d+ (second|minute)s?", "<time>"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)?", "<stamp>"),
        (r" *\d+(\.\d+)?([kKMG]i?)?B / 64MiB", "<used> / 64MiB"),
        (r" *\d+(\.\d+)?([kKMG]i?)?B / [\d.]+GiB", "<used> / <all>"),
        (r" *\d+(\.\d+)?[kM]?B / \d+(\.\d+)?[kM]?B", "<in> / <out>"),
        (r"\d+\.\d\d%", "<share>"),
        (r"wharf starter|made of this host's own tools|Imported from -", ""),
        (r"(?m) +$", ""),
        (r"  +", "  "),
    ):
        text = re.sub(pattern, mask, text)
    return text


def is_alike(pair: tuple[Cli, Cli], *words: str) -> None:
    """Hold both to the same output and exit code."""
    found = []
    for cli in pair:
        done = cli(*words)
        lines = masked(done.out, cli).splitlines()
        # docker shows the names of one image in no order
        found.append((done.code, sorted(lines) if words[0] == "images" else lines))
    assert found[0] == found[1], "\n".join(map(str, found))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    "line",
    _lines("""
        ps
        ps -a
        ps -aq
        ps -l
        ps -lq
        ps -n 2
        ps -n 0
        ps -as
        ps -a --no-trunc
        ps -aq --no-trunc
        ps -a --filter ancestor=box/img:1
        ps -a --filter ancestor=made:1
        ps -a --filter ancestor=nosuch
        ps -a --filter before=new
        ps -a --filter since=ended
        ps --filter since=ended
        ps -a --filter before=nosuch
        ps -a --filter exited=7
        ps --filter exited=7
        ps -a --filter exited=x
        ps -a --filter health=none
        ps -a --filter health=healthy
        ps -a --filter health=bogus
        ps -a --filter id=zz
        ps -a --filter name=^slee
        ps -a --filter name=e.d$
        ps -a --filter label=k
        ps -a --filter label=k=v
        ps -a --filter label=a=1 --filter label=b
        ps -a --filter label=a=1 --filter label=k
        ps -a --filter volume=vol
        ps -a --filter volume=/data
        ps -a --filter publish=80
        ps -a --filter publish=x
        ps -a --filter expose=80/udp
        ps -a --filter expose=x
        ps --filter status=exited
        ps -a --filter status=paused --filter status=created
        ps -a --filter status=bogus
        ps -a --filter is-task=true
        ps -a --filter is-task=false
        ps -a --filter is-task=x
        ps -a --filter isolation=default
        ps -a --filter bogus=1
        ps -a --filter name
        images
        images -a
        images -q
        images --no-trunc
        images --digests
        images --filter dangling=true
        images --filter dangling=false
        images --filter dangling=maybe
        images --filter label=l
        images --filter label=l=m
        images --filter label=l=n
        images --filter before=made:1
        images --filter since=box/img:1
        images --filter before=nosuch
        images --filter reference=box/*
        images --filter reference=made:*
        images --filter reference=*
        images --filter reference=*/*
        images --filter bogus=1
        images made
        images made:1
        images made:2
        images --format json
        history made:1
        history -q made:1
        history --no-trunc made:1
        history --format json made:1
        history nosuch
        volume ls
        volume ls -q
        volume ls --filter dangling=true
        volume ls --filter dangling=false
        volume ls --filter dangling=x
        volume ls --filter driver=local
        volume ls --filter driver=other
        volume ls --filter label=x
        volume ls --filter label=x=y
        volume ls --filter label=x=z
        volume ls --filter name=oth
        volume ls --filter name=^oth
        volume ls --filter bogus=1
        volume ls --format json
        port sleeper
        port sleeper 80
        port sleeper 80/tcp
        port sleeper x/y
        port nosuch
        diff new
        diff nosuch
        logs new
        logs ended
        logs --tail 1 ended
        logs --tail 0 ended
        logs --since 1h ended
        logs --until 2001-01-01T00:00:00 ended
        logs -t ended
        logs nosuch
        logs --since bogus ended
        inspect nosuch
        inspect --type volume nosuch
        inspect --format {{.State.ExitCode}} ended
        top new
        top sleeper -o comm
        stats --no-stream sleeper frozen
        stats --no-stream -a
        stats --no-stream --no-trunc frozen
        stats --no-stream --format json sleeper
        stats --no-stream nosuch
        system df
        system df --format json
        container prune -f --filter bogus=1
        container prune -f --filter until=1h
        container prune -f --filter until=x
        container prune -f --filter label=nosuch
        image prune -f --filter bogus=1
        image prune -f --filter until=1h
        image prune -f --filter label=nosuch
        volume prune -f --filter bogus=1
        volume prune -f --filter until=1h
        system prune -f --volumes --filter until=1h
        container prune
        container prune --filter label=x
        image prune
        image prune -a --filter until=24h
    """),
)
def test_B1_B2_B7_B8_B9_B10_B12_lines_read_alike(pair: tuple[Cli, Cli], line: str) -> None:
    is_alike(pair, *line.split())


_PS = "ID Image Command CreatedAt RunningFor Ports State Status Size Names Labels LocalVolumes Platform".split()
_IMAGES = "ID Repository Tag Digest CreatedSince CreatedAt Size Containers VirtualSize SharedSize UniqueSize".split()
_VOLUMES = "Name Driver Scope Mountpoint Labels Links Size Availability Group Status".split()
_STATS = "Container Name ID CPUPerc MemUsage NetIO BlockIO MemPerc PIDs".split()
_HISTORY = "ID CreatedSince CreatedAt CreatedBy Size Comment".split()
_DF = "Type TotalCount Active Size Reclaimable".split()


@pytest.mark.parametrize("form", ["table", "plain", "json"])
@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (("ps", "-a"), _PS),
        (("images",), _IMAGES),
        (("volume", "ls"), _VOLUMES),
        (("stats", "--no-stream", "sleeper", "frozen"), _STATS),
        (("history", "made:1"), _HISTORY),
        (("system", "df"), _DF),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_B1_B2_B8_B10_B12_every_placeholder_reads_alike(
    pair: tuple[Cli, Cli], words: tuple[str, ...], fields: list[str], form: str
) -> None:
    shape = {"table": "{{.%s}}", "plain": "{{.%s}}", "json": "{{json .%s}}"}[form]
    joined = "\t".join(shape % field for field in fields)
    is_alike(pair, *words, "--format", f"table {joined}" if form == "table" else joined)


@pytest.mark.parametrize(
    "layout",
    [
        '{{.Names}} {{.Label "k"}}',
        'table {{.Names}}\\t{{.Label "k"}}',
        "{{upper .Names}} {{lower .State}} {{title .State}} {{len .Names}}",
        '{{range split .Labels ","}}<{{.}}>{{end}}',
        '{{if eq .State "running"}}up{{else}}down{{end}}',
        '{{printf "%-10s|%5s" .Names .State}}',
        '{{truncate .Names 3}} {{pad .State 1 2}}|{{join (split .Labels ",") ";"}}',
        "{{println .Names}}",
        "{{.Nope}}",
        "{{",
    ],
)
def test_B1_templates_work_alike(pair: tuple[Cli, Cli], layout: str) -> None:
    is_alike(pair, "ps", "-a", "--format", layout)


def test_B1_exposed_ports_are_found_with_or_without_a_network(pair: tuple[Cli, Cli]) -> None:
    """Docker knows the ports of running containers with a bridge only; here the image's word counts."""
    ours, _ = pair
    for value, names in (("80", "child"), ("79-81/tcp", "child"), ("80/udp", "")):
        assert ours.ok("ps", "-a", "--filter", f"expose={value}", "--format", "{{.Names}}") == names


def test_B9_diff_reads_alike_in_any_order(pair: tuple[Cli, Cli]) -> None:
    ours, theirs = (set(cli.ok("diff", "ended").splitlines()) for cli in pair)
    assert ours == theirs


def test_B10_the_sections_of_df_read_alike(pair: tuple[Cli, Cli]) -> None:
    """Docker lists volumes in no order."""
    ours, theirs = (masked(cli.ok("system", "df", "-v"), cli) for cli in pair)
    assert ours.splitlines()[0] == theirs.splitlines()[0]
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines())


def test_B11_info_has_dockers_lines(pair: tuple[Cli, Cli]) -> None:
    """Each title that docker prints, save for what does not exist here."""
    titles = []
    for cli in pair:
        lines = cli.ok("info").splitlines()
        titles.append([line.partition(":")[0] for line in lines if ":" in line])
    absent = {
        "containerd version",
        "runc version",
        "init version",
        "Init Binary",
        "Docker Root Dir",
        "Insecure Registries",
    }
    assert [title for title in titles[1] if title not in titles[0] and title.strip() not in absent] == []
    assert {"Containers", " Running"} <= {title[1:] for title in titles[0]}


def test_B11_info_and_version_have_dockers_fields(pair: tuple[Cli, Cli]) -> None:
    for layout in (
        "{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}}",
        "{{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}} {{.KernelVersion}} {{.OSType}} {{.Architecture}} {{.NCPU}}",
        "{{.MemTotal}} {{.Name}} {{.MemoryLimit}} {{.SwapLimit}} {{.PidsLimit}} {{.CPUShares}} {{.CPUSet}}",
        "{{json .Swarm.LocalNodeState}} {{.Debug}} {{.IPv4Forwarding}} {{.OperatingSystem}}",
        # ours has a fifth row: whether tars can be mounted
        "{{index .DriverStatus 0}} {{index .DriverStatus 1}} {{index .DriverStatus 2}} {{index .DriverStatus 3}}",
    ):
        is_alike(pair, "info", "--format", layout)
    is_alike(pair, "version", "--format", "{{.Server.Os}}/{{.Server.Arch}} {{.Client.Os}} {{.Server.KernelVersion}}")
    is_alike(pair, "version", "--format", "{{(index .Server.Components 0).Name}}")


def test_B1_a_persons_own_formats_are_read_alike(pair: tuple[Cli, Cli], monkeypatch, tmp_path) -> None:
    (tmp_path / "config.json").write_text(
        '{"psFormat": "{{.Names}}={{.State}}", "imagesFormat": "table {{.Tag}}", "volumesFormat": "{{.Driver}}",'
        ' "statsFormat": "{{.Name}}", "other": {"a": 1}}'
    )
    for cli in pair:
        monkeypatch.setitem(cli.env, "DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setitem(cli.env, "XDG_CONFIG_HOME", str(tmp_path))
    for line in ("ps -a", "ps -aq", "ps -a --format {{.Image}}", "images", "volume ls", "stats --no-stream sleeper"):
        is_alike(pair, *line.split())
    (tmp_path / "config.json").write_text("{broken")
    for cli in pair:
        assert cli.ok("ps", "-aq", "--filter", "name=sleeper")


def test_prunes_take_and_say_the_same(pair: tuple[Cli, Cli]) -> None:
    for cli in pair:
        for number in range(3):
            cli.ok("create", *cli.run_options, "--label", f"n={number}", "--name", f"p{number}", IMAGE, "true")
    for line in (
        "container prune -f --filter label=n=0",
        "ps -a --filter name=^p --format {{.Names}}",
        "container prune -f --filter label!=n --filter label=nosuch",
        "container prune -f --filter label=n --filter label!=n=2",
        "ps -a --filter name=^p --format {{.Names}}",
        "system prune -f --filter label=n",
        "ps -a --filter name=^p --format {{.Names}}",
    ):
        is_alike(pair, *line.split())
