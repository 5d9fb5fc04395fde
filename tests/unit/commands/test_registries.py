"""What pull, push, login, search and registry ask, print and keep; on a backend of thin air."""

from __future__ import annotations

import io
import json

import pytest

from app.commands.layer_lines import LayerLines
from core.errors import NotFound, Unauthorized, Unreachable
from core.model.image import ImageConfig
from core.model.progress import Progress
from core.model.registry import Credentials, LoginResult, SearchResult
from tests.unit.commands.conftest import IMAGE_ID

PASSWORD = "c4nary-password"
DIGEST = "sha256:" + "d" * 64


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    """Docker's config.json of nobody."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def layer(part: str, status: str, done: int = 0, total: int | None = None) -> Progress:
    return Progress(what="x", done_bytes=done, total_bytes=total, part=part, status=status)


PULLING = [
    Progress(what="x", done_bytes=0, status="latest: Pulling from library/ubuntu"),
    layer("a1b2c3d4e5f6", "Pulling fs layer"),
    layer("0f1e2d3c4b5a", "Waiting"),
    layer("a1b2c3d4e5f6", "Downloading", 1_000_000, 30_000_000),
    layer("a1b2c3d4e5f6", "Downloading", 30_000_000, 30_000_000),
    layer("a1b2c3d4e5f6", "Download complete"),
    layer("a1b2c3d4e5f6", "Pull complete"),
    layer("a1b2c3d4e5f6", "Pull complete"),
    Progress(what="x", done_bytes=0, status=f"Digest: {DIGEST}"),
]


def test_G2_pull_prints_dockers_lines_each_status_once(shell):
    shell.backend.images.reports = PULLING
    assert shell("pull", "ubuntu") == 0
    assert shell.out.splitlines() == [
        "Using default tag: latest",
        "latest: Pulling from library/ubuntu",
        "a1b2c3d4e5f6: Pulling fs layer",
        "0f1e2d3c4b5a: Waiting",
        "a1b2c3d4e5f6: Download complete",
        "a1b2c3d4e5f6: Pull complete",
        f"Digest: {DIGEST}",
        "Status: Downloaded newer image for ubuntu:latest",
        "docker.io/library/ubuntu:latest",
    ]
    assert shell.calls == [("pull", "docker.io/library/ubuntu:latest", "", False)]


def test_G2_pull_says_that_an_image_is_the_newest(shell):
    shell.backend.images.is_new = False
    shell("pull", "localhost:5000/x:2", "--platform", "linux/arm64")
    assert shell.out == "Status: Image is up to date for localhost:5000/x:2\nlocalhost:5000/x:2\n"
    assert shell.calls == [("pull", "localhost:5000/x:2", "linux/arm64", False)]


@pytest.mark.parametrize(
    ("words", "asked", "last"),
    [
        (["-a", "ubuntu"], ("pull", "docker.io/library/ubuntu", "", True), "docker.io/library/ubuntu"),
        (
            [f"ubuntu:1@{DIGEST}"],
            ("pull", f"docker.io/library/ubuntu@{DIGEST}", "", False),
            f"docker.io/library/ubuntu@{DIGEST}",
        ),
    ],
)
def test_G2_pull_of_all_tags_or_of_a_digest(shell, words, asked, last):
    assert shell("pull", *words) == 0
    assert shell.calls == [asked]
    assert shell.out.splitlines()[-1] == last
    assert "Using default tag" not in shell.out


def test_G2_pull_quietly_prints_the_reference_alone(shell):
    shell.backend.images.reports = PULLING
    shell("image", "pull", "-q", "ubuntu", "--disable-content-trust")
    assert shell.out == "docker.io/library/ubuntu:latest\n"
    assert shell.err == ""


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_G2_a_tag_and_all_tags_contradict_each_other(shell, verb):
    assert shell(verb, "-a", "ubuntu:1") == 1
    assert shell.err == "wharf: tag can't be used with --all-tags/-a\n"
    assert shell.calls == []


def test_G2_push_names_the_repository_first(shell):
    shell.backend.images.reports = [
        layer("a1b2c3d4e5f6", "Preparing"),
        layer("a1b2c3d4e5f6", "Pushing", 1, 2),
        layer("a1b2c3d4e5f6", "Pushed"),
        Progress(what="x", done_bytes=0, status=f"latest: digest: {DIGEST} size: 527"),
    ]
    assert shell("push", "localhost:5000/x") == 0
    assert shell.out.splitlines() == [
        "Using default tag: latest",
        "The push refers to repository [localhost:5000/x]",
        "a1b2c3d4e5f6: Preparing",
        "a1b2c3d4e5f6: Pushed",
        f"latest: digest: {DIGEST} size: 527",
    ]
    shell("push", "-q", "muyu/x")
    assert shell.out == "docker.io/muyu/x:latest\n"
    assert shell(f"push x@{DIGEST}".split()[0], f"x@{DIGEST}") == 1
    assert shell.err.startswith("wharf: cannot push a digest reference\n")


def test_a_broken_config_is_complained_of_and_the_pull_goes_on(shell, config):
    config.write_text("{\n  nonsense\n}")
    assert shell("pull", "-q", "ubuntu") == 0
    assert shell.err.startswith(f"WARNING: Error loading config file: {config}: line 2 column 3: ")


# ---------------------------------------------------------------------- lines on a terminal


def drawn(*reports: Progress, rows: int = 24, columns: int = 80) -> list[str]:
    """What a terminal shows of them."""
    from app.console.vt.terminal import Terminal

    terminal, out = Terminal(columns, rows), io.BytesIO()
    with LayerLines(out, on_terminal=True, columns=columns, rows=rows) as lines:
        for report in reports:
            lines.report(report)
    terminal.feed(out.getvalue().replace(b"\n", b"\r\n"))
    return [row.text().rstrip() for row in terminal.grid.lines if row.text().strip()]


def test_on_a_terminal_each_layer_has_one_line():
    assert drawn(*PULLING[:4]) == [
        "latest: Pulling from library/ubuntu",
        "a1b2c3d4e5f6: Downloading [=>                                  ]       1MB/30MB",
        "0f1e2d3c4b5a: Waiting",
    ]
    assert drawn(*PULLING) == [
        "latest: Pulling from library/ubuntu",
        "a1b2c3d4e5f6: Pull complete",
        "0f1e2d3c4b5a: Waiting",
        f"Digest: {DIGEST}",
    ]


def test_a_narrow_terminal_gets_a_shorter_bar_or_none_and_no_broken_line():
    at = layer("a1b2c3d4e5f6", "Downloading", 15_000_000, 30_000_000)
    assert drawn(at, columns=60) == ["a1b2c3d4e5f6: Downloading [=======>        ]      15MB/30MB"]
    assert drawn(at, columns=40) == ["a1b2c3d4e5f6: Downloading 15MB/30MB"]


def test_layers_that_have_scrolled_away_are_left_alone():
    parts = [f"{number:012x}" for number in range(30)]
    shown = drawn(
        *(layer(part, "Waiting") for part in parts),
        layer(parts[0], "Pull complete"),
        layer(parts[29], "Pull complete"),
        rows=10,
    )
    assert shown[-1] == f"{parts[29]}: Pull complete"
    assert shown[-2] == f"{parts[28]}: Waiting"
    assert not any(line.startswith(parts[0]) for line in shown)


def test_ST10_what_a_registry_says_drives_no_terminal():
    assert drawn(Progress(what="x", done_bytes=0, status="\x1b[2J\x1b]0;evil\x07: Pulling")) == [
        "␛[2J␛]0;evil␇: Pulling"
    ]


# ---------------------------------------------------------------------- run


@pytest.fixture
def absent(shell):
    """An engine that has an image only once it was pulled."""
    containers = shell.backend.containers

    def create(spec):
        if not any(call[0] == "pull" for call in shell.calls):
            raise NotFound(f"No such image: {spec.image}", kind="image", key=spec.image)
        from core.backend import CreateResult

        return CreateResult("c" * 64)

    containers.create = create
    shell.backend.images.reports = PULLING
    return shell


def test_A1_a_missing_image_is_pulled_and_told_of_on_the_error_output(absent):
    assert absent("create", "ubuntu") == 0
    assert absent.out == "c" * 64 + "\n"
    lines = absent.err.splitlines()
    assert lines[:2] == ["Unable to find image 'ubuntu:latest' locally", "latest: Pulling from library/ubuntu"]
    assert lines[-2:] == [f"Digest: {DIGEST}", "Status: Downloaded newer image for ubuntu:latest"]
    assert absent("create", "-q", "ubuntu") == 0
    assert absent.err == ""


def test_A1_an_engine_that_names_the_whole_reference_is_understood(absent):
    create = absent.backend.containers.create

    def refuse(spec):
        try:
            return create(spec)
        except NotFound:
            raise NotFound("No such image: ubuntu:latest", kind="image", key="ubuntu:latest") from None

    absent.backend.containers.create = refuse
    assert absent("create", "ubuntu") == 0


def test_A1_an_image_that_is_mounted_is_not_pulled(absent):
    def refuse(spec):
        raise NotFound("No such image: other:1", kind="image", key="other:1")

    absent.backend.containers.create = refuse
    assert absent("create", "--mount", "type=image,source=other:1,target=/x", "ubuntu") == 1
    assert absent.calls == []


def test_A1_pull_never_asks_nobody(absent):
    assert absent("create", "--pull", "never", "ubuntu") == 1
    assert absent.err.startswith("wharf: No such image: ubuntu\n")
    assert absent.calls == []


def test_A1_pull_always_asks_though_it_is_here(shell):
    shell.backend.images.is_new = False
    shell.backend.containers.create = lambda spec: type("Made", (), {"id": "c" * 64, "warnings": ()})
    assert shell("create", "--pull=always", "bb") == 0
    assert "Unable to find" not in shell.err
    assert shell.err == "Status: Image is up to date for bb:latest\n"
    assert shell("create", "--pull=sometimes", "bb") == 1
    assert 'must be one of "always", "missing" or "never"' in shell.err


def test_A1_another_platform_than_the_one_that_is_here_is_pulled(shell):
    shell.backend.containers.create = lambda spec: type("Made", (), {"id": "c" * 64, "warnings": ()})
    assert shell("create", "--platform", "linux/amd64", "bb") == 0
    assert shell.calls == []
    assert shell("create", "--platform", "linux/arm64/v8", "bb") == 0
    assert shell.calls == [("pull", "bb", "linux/arm64/v8", False)]


def test_A1_when_no_registry_answers_other_ways_to_an_image_are_named(absent):
    absent.backend.images.failure = Unreachable("Get https://registry-1.docker.io/v2/: no route to host")
    assert absent("run", "ubuntu") == 125
    assert "no route to host" in absent.err
    assert "starter" in absent.err


# ---------------------------------------------------------------------- login


def test_G2_login_keeps_what_the_registry_let_in(shell, config):
    assert shell("login", "-u", "muyu", "--password-stdin", "localhost:5000", stdin=PASSWORD.encode() + b"\r\n") == 0
    assert shell.out == "Login Succeeded\n"
    assert shell.err == (
        f"\nWARNING! Your credentials are stored unencrypted in '{config}'.\n"
        "Configure a credential helper to remove this warning. See\n"
        "https://docs.docker.com/go/credential-store/\n\n"
    )
    assert shell.calls == [("login", "localhost:5000", Credentials(username="muyu", password=PASSWORD))]
    assert list(json.loads(config.read_text())["auths"]) == ["localhost:5000"]


def test_G2_login_without_a_server_is_docker_hub(shell, config):
    assert shell("login", "-u", "muyu", "-p", PASSWORD) == 0
    assert shell.err.startswith("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
    assert shell.calls[0][1] == "docker.io"
    assert list(json.loads(config.read_text())["auths"]) == ["https://index.docker.io/v1/"]


def test_G2_login_keeps_a_token_instead_of_the_password(shell, config):
    shell.backend.registries.login_result = LoginResult(status="Login Succeeded", identity_token="t0ken")
    shell("login", "-u", "muyu", "-p", PASSWORD, "https://a.io/v1/")
    entry = json.loads(config.read_text())["auths"]["a.io"]
    assert entry["identitytoken"] == "t0ken"
    assert PASSWORD not in config.read_text()
    assert "unencrypted" not in shell.err


def test_G2_ST9_a_refused_login_keeps_nothing_and_tells_no_password(shell, config):
    shell.backend.registries.failure = Unauthorized("login attempt failed with status: 401 Unauthorized", status=401)
    assert shell("login", "-u", "muyu", "-p", PASSWORD, "a.io") == 1
    assert "401 Unauthorized" in shell.err
    assert PASSWORD not in shell.out + shell.err
    assert not config.exists()


def test_G2_login_again_uses_what_is_known(shell, config):
    shell("login", "-u", "muyu", "-p", PASSWORD, "a.io")
    assert shell("login", "a.io") == 0
    assert shell.err.startswith("Authenticating with existing credentials... [Username: muyu]\n")
    assert shell.out == "Login Succeeded\n"
    shell.backend.registries.failure = Unauthorized("no")
    assert shell("login", "a.io") == 1
    assert "Login did not succeed, error: no" in shell.err
    assert "cannot perform an interactive login from a non TTY device" in shell.err


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["--password-stdin"], b"x", "the --password-stdin option requires --username to be set"),
        (
            ["-u", "a", "-p", "x", "--password-stdin"],
            b"x",
            "conflicting options: cannot specify both --password and --password-stdin",
        ),
        ([], None, "cannot perform an interactive login from a non TTY device"),
        (["-u", "a"], None, "cannot perform an interactive login from a non TTY device"),
        (["-u", "a", "--password-stdin"], b"\n", "cannot perform an interactive login from a non TTY device"),
        (["-u", "a", "-p", "b", "bad host"], None, "'bad host' is no registry"),
        (["-u", "a", "-p", "b", "https://"], None, "'https://' is no registry"),
    ],
)
def test_G2_what_login_can_not_do_is_said(shell, words, stdin, said):
    assert shell("login", *words, stdin=stdin) == 1
    assert f"wharf: {said}\n" in shell.err
    assert shell.calls == []


def test_G2_a_broken_config_is_never_logged_into(shell, config):
    config.write_text("{,}")
    assert shell("login", "-u", "a", "-p", PASSWORD, "a.io") == 1
    assert f"wharf: {config}: line 1 column 2" in shell.err
    assert config.read_text() == "{,}"


def test_G2_logout(shell, config):
    shell("login", "-u", "a", "-p", PASSWORD)
    assert shell("logout") == 0
    assert shell.out == "Removing login credentials for https://index.docker.io/v1/\n"
    assert json.loads(config.read_text()) == {"auths": {}}
    assert shell("logout", "a.io") == 0
    assert shell.out == "Not logged in to a.io\n"


# ---------------------------------------------------------------------- search


@pytest.fixture
def found(shell):
    shell.backend.registries.results = [
        SearchResult(name="muyu/web", description="a\nweb " + "x" * 60, stars=3),
        SearchResult(name="nginx", description="Official build of Nginx.", stars=20_000, is_official=True),
        SearchResult(name="old/web", stars=0, is_automated=True),
    ]
    return shell


def test_G2_search_has_dockers_columns_most_stars_first(found):
    assert found("search", "web") == 0
    lines = found.out.splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert lines[1].split() == ["nginx", "Official", "build", "of", "Nginx.", "20000", "[OK]"]
    assert lines[2].startswith("muyu/web   a web xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…   3")
    assert found.calls == [("search", "web", 25)]
    found("search", "--no-trunc", "--limit", "7", "web")
    assert "x" * 60 in found.out
    assert found.calls[-1] == ("search", "web", 7)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-f", "stars=3"], ["nginx", "muyu/web"]),
        (["-f", "is-official=true"], ["nginx"]),
        (["-f", "is-official=false", "-f", "is-automated=0"], ["muyu/web"]),
    ],
)
def test_G2_search_filters(found, words, names):
    found("search", *words, "--format", "{{.Name}}", "web")
    assert found.out.split() == names


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--limit", "101"], 1, "Limit 101 is outside the range of [1, 100]"),
        (["--limit", "-1"], 1, "Limit -1 is outside the range of [1, 100]"),
        (["-f", "a=b"], 1, "invalid filter 'a'"),
        (["-f", "stars=many"], 1, "invalid filter 'stars=many'"),
        (["-f", "stars"], 125, "bad format of filter (expected name=value)"),
    ],
)
def test_G2_what_search_does_not_take(found, words, code, said):
    assert found("search", *words, "web") == code
    assert said in found.err


def test_ST10_what_registries_say_drives_no_terminal(found):
    hostile = "\x1b]52;c;eA==\x07\x1b[2Jevil\u202e"
    found.backend.registries.results = [SearchResult(name=hostile, description=hostile)]
    found("search", "x", out_is_tty=True)
    assert "\x1b" not in found.out
    assert "␛]52;c;eA==␇␛[2Jevil‹202E›" in found.out
    found.backend.registries.repositories = lambda server, keyring: [hostile]
    found("registry", "ls", "a.io", out_is_tty=True)
    assert "\x1b" not in found.out
    found.backend.registries.failure = Unauthorized(hostile)
    found("login", "-u", "a", "-p", "b", "a.io", err_is_tty=True)
    assert "\x1b" not in found.err


# ---------------------------------------------------------------------- registry


def test_G4_repositories_and_tags(shell):
    assert shell("registry", "ls", "localhost:5000/") == 0
    assert shell.out.split() == ["REPOSITORY", "localhost:5000/shop/api", "localhost:5000/shop/web"]
    assert shell("registry", "tags", "localhost:5000/shop/api") == 0
    lines = [line.split() for line in shell.out.splitlines()]
    assert lines[0] == ["TAG", "DIGEST", "SIZE", "PLATFORMS"]
    assert lines[1] == ["1", "sha256:" + "a" * 12, "501kB", "linux/amd64"]
    shell("registry", "tags", "-q", "localhost:5000/shop/api")
    assert shell.out.split() == ["1", "latest", "old"]
    assert shell("registry", "tags", "localhost:5000/shop/api:1") == 1
    assert "a repository has no tag" in shell.err


def test_G4_inspect_shows_a_manifest_or_its_own_bytes(shell):
    assert shell("registry", "inspect", "localhost:5000/shop/api:old") == 0
    document = json.loads(shell.out)
    assert document["Digest"] == "sha256:" + "b" * 64
    assert [one["Size"] for one in document["Layers"]] == [1000, 7000]
    shell("registry", "inspect", "-f", "{{.Platform}} {{len .Layers}}", "localhost:5000/shop/api:old")
    assert shell.out == "linux/amd64 2\n"
    out = io.BytesIO()
    from app.commands.io import Io
    from app.commands.language import execute

    assert execute(["registry", "inspect", "--raw", "localhost:5000/shop/api:1"], shell.backend, Io(out, out)) == 0
    assert out.getvalue() == b'{"raw": "\xff"}'


def test_G4_rm_says_which_tags_went_along_and_what_still_lies_there(shell):
    assert shell("registry", "rm", "localhost:5000/shop/api:latest") == 0
    digest = "sha256:" + "a" * 64
    assert shell.calls == [("delete", f"localhost:5000/shop/api@{digest}")]
    assert shell.out.splitlines() == [
        "Untagged: localhost:5000/shop/api:1",
        "Untagged: localhost:5000/shop/api:latest",
        f"Deleted: localhost:5000/shop/api@{digest}",
    ]
    assert shell.err.startswith("1 layer, 500kB, stays on the registry's disk until it collects garbage")
    assert shell("registry", "rm", "localhost:5000/shop/api", "localhost:5000/shop/api:none") == 1
    assert "which of its manifests?" in shell.err
    assert "not found" in shell.err


def test_G4_copy(shell):
    assert shell("registry", "copy", "a.io/x:1", "b.io/y:2") == 0
    assert shell.calls == [("copy", "a.io/x:1", "b.io/y:2")]
    assert shell.out == f"latest: digest: {DIGEST} size: 527\n"


# ---------------------------------------------------------------------- images


@pytest.fixture
def pulled(shell):
    import msgspec

    first = shell.backend.images.known[0]
    other = "sha256:" + "e" * 64
    shell.backend.images.known[:] = [
        msgspec.structs.replace(first, digests=(f"bb@{DIGEST}", f"bb@{other}"), used_by=("c",)),
        msgspec.structs.replace(
            first, id="sha256:" + "9" * 64, tags=(), digests=(f"a.io/n@{DIGEST}",), config=ImageConfig()
        ),
        shell.backend.images.known[1],
    ]
    return shell


def test_B2_images_have_a_row_for_each_digest_where_digests_are_shown(pulled):
    pulled("images", "--format", "{{.Repository}} {{.Tag}} {{.ID}}")
    assert pulled.out.splitlines() == [
        "bb latest 707ead6cc739",
        "other/n 3 707ead6cc739",
        "a.io/n <none> 999999999999",
        "<none> <none> 1d4908f14602",
    ]
    pulled("images", "--digests")
    lines = [line.split()[:4] for line in pulled.out.splitlines()]
    assert lines == [
        ["REPOSITORY", "TAG", "DIGEST", "IMAGE"],
        ["bb", "latest", DIGEST, "707ead6cc739"],
        ["bb", "latest", "sha256:" + "e" * 64, "707ead6cc739"],
        ["other/n", "3", "<none>", "707ead6cc739"],
        ["a.io/n", "<none>", DIGEST, "999999999999"],
        ["<none>", "<none>", "<none>", "1d4908f14602"],
    ]


def test_B2_an_image_that_has_a_digest_is_not_dangling(pulled):
    pulled("images", "-q", "-f", "dangling=true")
    assert pulled.out.split() == ["1d4908f14602"]
    pulled("images", "-q", "-f", f"reference=a.io/n@{DIGEST}", "--digests")
    assert pulled.out.split() == ["999999999999"]


def test_B2_images_as_a_tree(pulled):
    assert pulled("images", "--tree") == 0
    lines = [line.rstrip() for line in pulled.out.splitlines()]
    assert lines[1].split() == ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"]
    assert lines[2].split() == ["bb:latest", "707ead6cc739", "1.98MB", "900kB", "U"]
    assert lines[4].split() == ["└─", "linux/amd64", "707ead6cc739", "1.98MB", "900kB", "U"]
    assert lines[5].split()[0] == f"a.io/n@{DIGEST}"
    assert pulled("images", "--tree", "-q") == 1
    assert "--quiet is not yet supported with --tree" in pulled.err


def test_B3_inspect_shows_where_an_image_came_from(pulled):
    pulled("image", "inspect", "-f", "{{json .RepoDigests}}", IMAGE_ID[7:19])
    assert json.loads(pulled.out)[0] == f"bb@{DIGEST}"


# ---------------------------------------------------------------------- completion


def test_registries_platforms_and_what_to_pull_are_completed(shell, config):
    from app.commands.language import complete

    config.write_text('{"auths": {"quay.io": {}, "https://index.docker.io/v1/": {}}}')
    assert complete("registry ls ", shell.backend) == ["docker.io", "quay.io"]
    assert complete("logout q", shell.backend) == ["quay.io"]
    assert complete("pull --platform linux/arm", shell.backend) == ["linux/arm/v7", "linux/arm64"]
    assert complete("run --pull=a", shell.backend) == ["--pull=always"]
    assert "other/n" in complete("registry tags ", shell.backend)
    assert complete("registry ", shell.backend) == ["copy", "inspect", "list", "ls", "remove", "rm", "tags"]
