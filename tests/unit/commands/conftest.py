"""A backend that remembers what it was asked, for tests of what commands ask and print."""

import io as streams

import pytest

from app.commands.io import Io
from app.commands.language import execute
from core.errors import NotFound
from core.model.container import (
    Change,
    Container,
    ContainerConfig,
    ContainerSettings,
    ContainerSpec,
    Exited,
    ProcessTable,
    Running,
)
from core.model.image import HistoryEntry, Image, ImageConfig, ImageLayer
from core.model.limits import Limits
from core.model.logs import LogLine
from core.model.mounts import Mount
from core.model.network import Endpoint, Network, Subnet
from core.model.pruning import EVERYTHING
from core.model.registry import LoginResult, Pulled, Pushed, RemoteLayer, RemoteManifest
from core.model.volume import Volume

CREATED_NS = 1_795_235_806_274_879_097
WEB_ID = "b59d323b9048" + "0" * 52
OLD_ID = "9969d82c92a3" + "0" * 52
NETWORK_ID = "9e3f7f573df9" + "0" * 52
IMAGE_ID = "sha256:707ead6cc739" + "0" * 52


def container(container_id: str, name: str, state, *, command=("sleep", "1000"), **spec_fields) -> Container:
    spec = ContainerSpec(image="bb", command=command, **spec_fields)
    mounts = (
        Mount(kind="volume", name="vol1", source="/r/volumes/vol1/_data", target="/v1", read_only=True),
        Mount(kind="bind", source="/tmp", target="/ht"),
        Mount(kind="volume", name="c" * 64, source="/r/volumes/c/_data", target="/data", anonymous=True),
    )
    config = ContainerConfig(
        id=container_id,
        created_ns=CREATED_NS,
        spec=spec,
        image_id=IMAGE_ID,
        image_name="bb",
        layers=("l1",),
        entrypoint=(),
        command=command,
        env=("A=b",),
        working_dir="",
        user="",
        hostname=container_id[:12],
        stop_signal="SIGTERM",
        labels={"k": "v"},
        mounts=mounts if name == "web" else (),
    )
    settings = ContainerSettings(name=name, limits=Limits(memory_bytes=64 * 1024**2, cpu_shares=20))
    return Container(config=config, settings=settings, state=state, directory=f"/r/containers/{container_id}")


class FakeContainers:
    def __init__(self, calls: list) -> None:
        self.calls = calls
        running = Running(pid=42, start_ticks=1, boot_id="b", started_ns=CREATED_NS)
        ended = Exited(exit_code=7, started_ns=CREATED_NS, finished_ns=CREATED_NS + 10**9)
        self.known = [
            container(WEB_ID, "web", running),
            container(OLD_ID, "old", ended, command=("sh", "-c", "exit 7")),
        ]
        self.failure = None

    def __getattr__(self, verb):
        def call(*arguments, **options):
            self.calls.append((verb, *arguments, options) if options else (verb, *arguments))
            if self.failure is not None:
                raise self.failure
            if arguments and isinstance(arguments[0], str):
                self.inspect(arguments[0])

        return call

    def list(self, *, all=False, size=False):
        return [one for one in self.known if all or one.status == "running"]

    def inspect(self, key, *, size=False):
        for one in self.known:
            if key == one.name or one.id.startswith(key):
                return one
        raise NotFound(f"no such container: {key}", kind="container", key=key)

    def wait(self, key, condition="not-running", cancel=None):
        state = self.inspect(key).state
        return state.exit_code if isinstance(state, Exited) else 0

    def changes(self, key):
        return [Change(path="/etc", kind="C"), Change(path="/etc/new", kind="A")]

    def top(self, key, ps_arguments=()):
        self.calls.append(("top", key, tuple(ps_arguments)))
        return ProcessTable(titles=("PID", "COMMAND"), rows=(("42", "sleep 1000"),))

    def logs(self, key, query, cancel=None):
        self.calls.append(("logs", key, query))
        yield LogLine(CREATED_NS, 1, b"out\n")
        yield LogLine(CREATED_NS, 2, b"err\n")


class FakeImages:
    def __init__(self, calls: list) -> None:
        self.calls = calls
        self.failure = None
        self.reports = []
        self.is_new = True
        config = ImageConfig(env=("A=b",), cmd=("sh",), labels={"a": "b"})
        self.known = [
            Image(
                id=IMAGE_ID,
                tags=("bb:latest", "other/n:3"),
                created_ns=CREATED_NS,
                size_bytes=1_984_162,
                author="me",
                architecture="amd64",
                os="linux",
                config=config,
                layers=("l1",),
                diff_ids=("sha256:ab",),
                labels={"a": "b"},
            ),
            Image(
                id="sha256:1d4908f14602" + "0" * 52,
                tags=(),
                created_ns=CREATED_NS - 10**9,
                size_bytes=3,
                config=ImageConfig(),
                layers=(),
                diff_ids=(),
            ),
        ]

    def list(self, *, all=False):
        return self.known

    def inspect(self, key):
        for one in self.known:
            if key in one.tags or f"{key}:latest" in one.tags or one.id.removeprefix("sha256:").startswith(key):
                return one
        raise NotFound(f"no such image: {key}", kind="image", key=key)

    def history(self, key):
        return [
            HistoryEntry(
                image_id=IMAGE_ID, created_ns=CREATED_NS, created_by="sleep 1000", comment="修改", size_bytes=3
            ),
            HistoryEntry(image_id="", created_ns=CREATED_NS, created_by="x" * 60, comment="", size_bytes=1_984_162),
        ]

    def tag(self, key, reference):
        self.calls.append(("tag", key, reference))

    def layers(self, key):
        return [
            ImageLayer(
                chain_id="l1", diff_id="sha256:ab", blob="sha256:cd", blob_bytes=900_000, media_type="tar", size_bytes=1
            )
            for _ in self.inspect(key.removeprefix("sha256:")).layers
        ]

    def pull(self, reference, keyring, report, cancel, *, platform="", all_tags=False):
        self.calls.append(("pull", reference, platform, all_tags))
        if self.failure is not None:
            raise self.failure
        for line in self.reports:
            report(line)
        return [Pulled(reference=reference, image_id=IMAGE_ID, digest="sha256:" + "d" * 64, is_new=self.is_new)]

    def push(self, reference, keyring, report, cancel, *, all_tags=False):
        self.calls.append(("push", reference, all_tags))
        for line in self.reports:
            report(line)
        return [Pushed(reference=reference, digest="sha256:" + "d" * 64, size_bytes=527)]


class FakeVolumes:
    def __init__(self) -> None:
        self.known = [
            Volume(name="vol1", created_ns=CREATED_NS, mountpoint="/r/volumes/vol1/_data", used_by=(WEB_ID,)),
            Volume(name="vol2", created_ns=CREATED_NS, mountpoint="/r/volumes/vol2/_data", labels={"x": "y"}),
        ]

    def list(self, *, sizes=False):
        return self.known

    def inspect(self, name):
        for one in self.known:
            if one.name == name:
                return one
        raise NotFound(f"no such volume: {name}", kind="volume", key=name)


class FakeNetworks:
    def __init__(self, calls: list) -> None:
        self.calls = calls
        self.failure = None
        member = Endpoint(
            network="appnet",
            network_id=NETWORK_ID,
            endpoint_id="e" * 64,
            container_id=WEB_ID,
            container_name="web",
            interface="eth0",
            mac="02:42:ac:1e:05:07",
            ipv4="172.30.5.7",
            ipv4_prefix_length=16,
            ipv4_gateway="172.30.0.9",
            names=("web", WEB_ID[:12]),
        )
        subnet = Subnet(
            subnet="172.30.0.0/16", ip_range="172.30.5.0/24", gateway="172.30.0.9", reserved={"x": "172.30.5.1"}
        )
        self.known = [
            Network(
                name="appnet",
                id=NETWORK_ID,
                created_ns=CREATED_NS,
                driver="bridge",
                subnets=(subnet,),
                labels={"a": "b"},
                options={"com.docker.network.bridge.name": "brx"},
                members=(member,),
            ),
            Network(name="bridge", id="2" * 64, created_ns=CREATED_NS, driver="bridge"),
            Network(name="empty", id="3" * 64, created_ns=CREATED_NS + 1, driver="macvlan", internal=True, ipv6=True),
            Network(name="host", id="4" * 64, created_ns=CREATED_NS, driver="host"),
            Network(name="none", id="5" * 64, created_ns=CREATED_NS, driver="null"),
        ]

    def list(self):
        return self.known

    def inspect(self, key):
        for one in self.known:
            if key == one.name or one.id.startswith(key):
                return one
        raise NotFound(f"network {key} not found", kind="network", key=key)

    def create(self, spec):
        self.calls.append(("create", spec))
        if self.failure is not None:
            raise self.failure
        return self.known[0]

    def remove(self, key):
        self.calls.append(("remove", self.inspect(key).name))
        if self.failure is not None:
            raise self.failure

    def connect(self, key, container, wish):
        self.calls.append(("connect", key, container, wish))

    def disconnect(self, key, container, *, force=False):
        self.calls.append(("disconnect", key, container, force))

    def prune(self, which=EVERYTHING):
        self.calls.append(("prune networks", which))
        return ["empty"]


class FakeRegistries:
    """One registry: two tags of one image and one tag of another, which share a layer."""

    def __init__(self, calls: list) -> None:
        self.calls = calls
        self.failure = None
        self.results = []
        self.login_result = LoginResult(status="Login Succeeded")
        shared, own, other = (
            RemoteLayer(digest="sha256:" + letter * 64, size_bytes=size, media_type="tar")
            for letter, size in (("1", 1_000), ("2", 500_000), ("3", 7_000))
        )
        self.manifests = {
            "1": remote_manifest("a", (shared, own)),
            "latest": remote_manifest("a", (shared, own)),
            "old": remote_manifest("b", (shared, other)),
        }

    def login(self, server, credentials):
        self.calls.append(("login", server, credentials))
        if self.failure is not None:
            raise self.failure
        return self.login_result

    def search(self, term, keyring, *, limit=25):
        self.calls.append(("search", term, limit))
        return self.results

    def repositories(self, server, keyring):
        return ["shop/api", "shop/web"]

    def tags(self, repository, keyring):
        return list(self.manifests)

    def manifest(self, reference, keyring):
        tag = reference.rpartition(":")[2]
        for name, manifest in self.manifests.items():
            if tag == name or manifest.digest.endswith(tag):
                return manifest
        raise NotFound(f"manifest for {reference} not found", kind="manifest", key=reference)

    def delete(self, reference, keyring):
        self.calls.append(("delete", reference))
        return reference.rpartition("@")[2]

    def copy(self, source, target, keyring, report, cancel):
        self.calls.append(("copy", source, target))
        return Pushed(reference="latest", digest="sha256:" + "d" * 64, size_bytes=527)


def remote_manifest(letter, layers, **fields):
    return RemoteManifest(
        reference="localhost:5000/shop/api",
        digest="sha256:" + letter * 64,
        media_type="application/vnd.oci.image.manifest.v1+json",
        platform="linux/amd64",
        size_bytes=sum(layer.size_bytes for layer in layers),
        created_ns=CREATED_NS,
        layers=layers,
        raw=b'{"raw": "\xff"}',
        **fields,
    )


class FakeBackend:
    def __init__(self) -> None:
        self.calls = []
        self.registries = FakeRegistries(self.calls)
        self.containers = FakeContainers(self.calls)
        self.images = FakeImages(self.calls)
        self.volumes = FakeVolumes()
        self.networks = FakeNetworks(self.calls)

    def close(self):
        pass


class Shell:
    """Runs command lines as a shell's user would, and keeps what came out."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.out = self.err = ""
        self.code = -1

    def __call__(self, *words: str, stdin: bytes | None = None, **io_options) -> int:
        out, err = streams.BytesIO(), streams.BytesIO()
        source = streams.BytesIO(stdin) if stdin is not None else None
        self.code = execute(words, self.backend, Io(out, err, source, **io_options))
        self.out, self.err = out.getvalue().decode(), err.getvalue().decode()
        return self.code

    @property
    def calls(self) -> list:
        return self.backend.calls


@pytest.fixture
def shell() -> Shell:
    return Shell()
