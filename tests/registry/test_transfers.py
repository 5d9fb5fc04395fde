"""Connections that break, servers that are busy or slow, several who want the same, and somebody who has had enough."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import Cancelled, EngineError, NotFound, RateLimited, TimedOut
from core.model.progress import CancelToken, Progress, silent
from core.model.registry import NoCredentials
from core.model.registry_settings import Proxies, RegistrySettings
from core.registry.client import RegistryClient
from core.registry.transport import Timeouts
from tests.archives import directory, member, sha256, tar
from tests.registries import RunningRegistry
from tests.registry.conftest import NO_PAUSE, pull, reach
from tests.registry.server import Asked, BreakingLine, FakeRegistry, Handler
from tests.stores import contents, import_tar, open_store

CONTENT = os.urandom(3_000_000)
LAYER = tar([directory("d"), member("d/f", CONTENT)])
CHUNK = 256 * 1024
PROJECT = str(Path(__file__).parents[2])


def is_layer(asked: Asked) -> bool:
    return asked.method == "GET" and asked.path.endswith(sha256(LAYER))


def breaks_after(*lengths: int, ranges: bool = True) -> object:
    """A trick: one connection each ends after so many bytes of the layer."""
    left = list(lengths)

    def trick(handler: Handler, asked: Asked) -> bool:
        if not is_layer(asked):
            return False
        begin = int(asked.headers["range"][6:-1]) if ranges and "range" in asked.headers else 0
        rest = LAYER[begin:]
        if not left and not ranges:
            handler.head(200, len(rest), {})
            handler.send(sha256(LAYER), rest)
            return True
        if not left:
            return False
        status, headers = (
            (206, {"Content-Range": f"bytes {begin}-{len(LAYER) - 1}/{len(LAYER)}"}) if begin else (200, {})
        )
        handler.head(status, len(rest), headers)
        handler.send(sha256(LAYER), rest[: left.pop(0)])
        handler.hang_up()
        return True

    return trick


def test_a_broken_connection_goes_on_where_it_ended(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(breaks_after(1_000_000, 65536, 500_000, 70_000, 70_000, 70_000))  # type: ignore[arg-type]
    told: list[Progress] = []
    pull(store, f"{fake.host}/x:1", report=told.append)
    assert store.images.read_file(f"{fake.host}/x:1", "/d/f", 1_000_000, 50) == CONTENT[1_000_000:1_000_050]
    assert fake.sent[sha256(LAYER)] <= len(LAYER) + 6 * CHUNK
    assert any(one.status.startswith("Retrying in 1 second") for one in told)


def test_a_server_without_ranges_is_read_from_the_beginning(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(breaks_after(1_000_000, ranges=False))  # type: ignore[arg-type]
    pull(store, f"{fake.host}/x:1")
    assert store.images.read_file(f"{fake.host}/x:1", "/d/f", 0, 50) == CONTENT[:50]


def test_a_server_that_gives_another_part_than_was_asked_for_is_not_believed(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    breaking = breaks_after(1_000_000)

    def trick(handler: Handler, asked: Asked) -> bool:
        if is_layer(asked) and "range" in asked.headers:
            handler.reply(206, LAYER[5:], {"Content-Range": f"bytes 5-{len(LAYER) - 1}/{len(LAYER)}"})
            return True
        return bool(breaking(handler, asked))  # type: ignore[operator]

    fake.tricks.append(trick)
    with pytest.raises(EngineError, match="another part"):
        pull(store, f"{fake.host}/x:1")


@pytest.mark.parametrize("status", [502, 429])
def test_a_storm_is_waited_for_and_what_never_ends_is_given_up(store: Engine, fake: FakeRegistry, status: int) -> None:
    fake.put_image("x", "1", [LAYER])
    left = [4]

    def trick(handler: Handler, asked: Asked) -> bool:
        if left[0] <= 0:
            left[0] = 4 if left[0] == 0 else left[0]
            return False
        left[0] -= 1
        handler.reply(status, b"busy")
        return True

    fake.tricks.append(trick)
    pull(store, f"{fake.host}/x:1")
    assert {path for path in fake.paths() if fake.paths().count(path) != 5} <= {"/v2/"}
    left[0] = 10_000
    with pytest.raises(EngineError) as caught:
        pull(store, f"{fake.host}/x:2")
    assert getattr(caught.value, "status", 0) == status
    assert "busy" not in caught.value.message  # a page of a proxy's is no sentence


def test_a_server_is_left_alone_as_long_as_it_asks_for(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    at: list[float] = []

    def trick(handler: Handler, asked: Asked) -> bool:
        if not is_layer(asked) or len(at) == 2:
            return False
        at.append(time.monotonic())
        if len(at) == 2:
            return False
        handler.reply(429, b"", {"Retry-After": "1"})
        return True

    fake.tricks.append(trick)
    pull(store, f"{fake.host}/x:1")
    assert at[1] - at[0] >= 1.0


def test_a_server_that_asks_for_too_much_patience_is_given_up_at_once(store: Engine, fake: FakeRegistry) -> None:
    fake.tricks.append(
        lambda handler, asked: (
            handler.refuse(429, "TOOMANYREQUESTS", "You have reached your pull rate limit", {"Retry-After": "9999"})
            or True
        )
    )
    with pytest.raises(RateLimited) as caught:
        pull(store, f"{fake.host}/x:1")
    assert caught.value.message == "toomanyrequests: You have reached your pull rate limit"
    assert caught.value.retry_after_s == 9999


@pytest.mark.parametrize("what", ["head", "manifest", "layer"])
def test_a_slow_drip_is_no_answer_and_the_stage_is_named(store: Engine, fake: FakeRegistry, what: str) -> None:
    fake.put_image("x", "1", [LAYER])
    reach(store, attempts=1)

    def trick(handler: Handler, asked: Asked) -> bool:
        if asked.path == "/v2/" or (what == "layer") != is_layer(asked):
            return False
        with contextlib.suppress(OSError):
            if what != "head":
                handler.head(200, len(LAYER), {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
                handler.wfile.flush()
            else:
                handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(80):
                handler.wfile.write(b".")
                handler.wfile.flush()
                time.sleep(0.05)
        handler.close_connection = True
        return True

    fake.tricks.append(trick)
    began = time.monotonic()
    with pytest.raises(TimedOut, match="waiting for the answer" if what == "head" else "reading the answer"):
        pull(store, f"{fake.host}/x:1")
    assert time.monotonic() - began < 3.5  # the server drips for four seconds


@pytest.mark.parametrize("stage", ["manifest", "layer", "busy"])
def test_cancel_takes_at_most_a_second_and_keeps_what_came(store: Engine, fake: FakeRegistry, stage: str) -> None:
    fake.put_image("x", "1", [LAYER])
    patient = Timeouts(connect_s=2.0, answer_s=30.0, quiet_s=30.0)
    store.registries.client = RegistryClient(RegistrySettings(), timeouts=patient, pace=NO_PAUSE)
    is_there, is_over = threading.Event(), threading.Event()

    def trick(handler: Handler, asked: Asked) -> bool:
        if asked.path == "/v2/" or (stage != "manifest") != is_layer(asked):
            return False
        if stage == "busy":
            handler.reply(503, b"", {"Retry-After": "1"})
            is_there.set()
            return True
        if stage == "layer":
            handler.head(200, len(LAYER), {})
            handler.send(sha256(LAYER), LAYER[:1_000_000])
        is_there.set()
        is_over.wait(10)
        handler.hang_up()
        return True

    fake.tricks.append(trick)
    cancel = CancelToken()
    ended: list[float] = []

    def run() -> None:
        with pytest.raises(Cancelled):
            pull(store, f"{fake.host}/x:1", cancel=cancel)
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    assert is_there.wait(5)
    time.sleep(0.1)
    began = time.monotonic()
    cancel.cancel()
    thread.join()
    assert ended[0] - began <= 1.0
    workers = [one for one in threading.enumerate() if one.name == "transfer"]
    for worker in workers:
        worker.join(1)
    assert not any(worker.is_alive() for worker in workers)  # nobody has answered: they were woken, not left behind
    is_over.set()
    left = {name for name in contents(store) if not name.startswith("ingest/download-")}
    assert left == set()
    if stage == "layer":
        fake.tricks.clear()
        before = fake.sent[sha256(LAYER)]
        pull(store, f"{fake.host}/x:1")
        assert fake.sent[sha256(LAYER)] - before <= len(LAYER) - 1_000_000 + CHUNK


_PULL = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from core.model.progress import CancelToken, silent
from core.model.registry import NoCredentials
from core.model.registry_settings import Proxies, RegistrySettings
from core.registry.client import RegistryClient
from core.registry.transport import Timeouts
from tests.stores import open_store
engine = open_store(Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
for reference in sys.argv[3:]:
    engine.images.pull(reference, NoCredentials(), silent, CancelToken())
print(len(engine.images.list()))
"""


def test_several_pulls_of_one_layer_share_one_download(store: Engine, tmp_path: Path, fake: FakeRegistry) -> None:
    """Two other processes and two threads here, of four images with the same layer."""
    for tag in "1234":
        fake.put_image("x", tag, [LAYER], config={"author": tag})

    def slowly(handler: Handler, asked: Asked) -> bool:
        if is_layer(asked):
            handler.head(200, len(LAYER), {})
            for start in range(0, len(LAYER), 100_000):
                handler.send(sha256(LAYER), LAYER[start : start + 100_000])
                time.sleep(0.01)
            return True
        return False

    fake.tricks.append(slowly)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _PULL, PROJECT, str(tmp_path), f"{fake.host}/x:{tag}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for tag in "34"
    ]
    for process in others:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    threads = [threading.Thread(target=pull, args=(store, f"{fake.host}/x:{tag}")) for tag in "12"]
    for process in others:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in others:
        process.communicate()
        assert process.returncode == 0
    assert len(store.images.list()) == 4
    assert fake.sent[sha256(LAYER)] == len(LAYER)
    assert [path for path in fake.paths() if path.endswith(sha256(LAYER))] == [f"/v2/x/blobs/{sha256(LAYER)}"]
    assert store.system.fsck(deep=True) == []
    assert list(store.roots.ingest.iterdir()) == []


def test_downloads_outlive_sweeps_for_a_day_and_prune_at_once(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(breaks_after(*[70_000] * 30))  # type: ignore[arg-type]
    fake.tricks.insert(
        0, lambda handler, asked: is_layer(asked) and fake.sent[sha256(LAYER)] > 500_000 and broken(handler)
    )
    with pytest.raises(EngineError):
        pull(store, f"{fake.host}/x:1")
    (left,) = store.roots.ingest.iterdir()
    open_store(store.roots.data.parent)
    assert store.system.fsck() == []
    assert left.exists()
    os.utime(left, (time.time() - 90_000, time.time() - 90_000))
    assert len(store.system.fsck()) == 1
    open_store(store.roots.data.parent)
    assert not left.exists()
    with pytest.raises(EngineError):
        pull(store, f"{fake.host}/x:1")
    (left,) = store.roots.ingest.iterdir()
    left.write_bytes(b"x" * 1000)
    _, freed = store.images.prune()
    assert freed == 1000
    assert not left.exists()


def broken(handler: Handler) -> bool:
    handler.hang_up()
    return True


def test_an_upload_that_breaks_goes_on_where_it_ended(store: Engine, registry: RunningRegistry) -> None:
    line = BreakingLine(registry.host)
    import_tar(store, LAYER, f"{line.host}/broken-upload:1")
    line.cuts_up = [400_000, 900_000, 300_000]
    store.images.push(f"{line.host}/broken-upload:1", NoCredentials(), silent, CancelToken())
    assert line.cuts_up == []
    store.images.remove(f"{line.host}/broken-upload:1")
    line.cuts_down = [500_000, 1_000_000]
    pull(store, f"{line.host}/broken-upload:1")
    assert line.cuts_down == []
    assert store.images.read_file(f"{line.host}/broken-upload:1", "/d/f", 0, 50) == CONTENT[:50]
    line.close()


def test_a_layer_that_is_there_is_not_sent_again_and_one_in_another_repository_is_mounted(
    store: Engine, registry: RunningRegistry
) -> None:
    import_tar(store, tar([member("f", b"mounted")]), f"{registry.host}/mount/a:1")
    for name in ("mount/a:2", "mount/b:1"):
        store.images.tag(f"{registry.host}/mount/a:1", f"{registry.host}/{name}")
    told: list[str] = []
    for name in ("mount/a:1", "mount/a:2", "mount/b:1"):
        store.images.push(
            f"{registry.host}/{name}",
            NoCredentials(),
            lambda one: told.append(one.status if one.part else "Preparing"),
            CancelToken(),
        )
    words = [word for word in told if word not in ("Preparing", "Pushing") and not word.startswith("The push")]
    assert words == ["Pushed", "Layer already exists", "Mounted from mount/a"]
    assert registry.requests("PATCH", "mount/b") == 1  # its config
    store.images.remove(f"{registry.host}/mount/b:1")
    pull(store, f"{registry.host}/mount/b:1")


def test_nothing_is_asked_of_a_registry_for_what_is_not_here(store: Engine, fake: FakeRegistry) -> None:
    with pytest.raises(NotFound, match="An image does not exist locally with the tag"):
        store.images.push(f"{fake.host}/x:1", NoCredentials(), silent, CancelToken())
    assert fake.asked == []


SMALL = [tar([member(f"f{number}", os.urandom(20_000))]) for number in range(6)]


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_layers_are_fetched_at_once_than_the_settings_say(store: Engine, fake: FakeRegistry, most: int) -> None:
    reach(store, downloads=most)
    fake.put_image("x", "1", SMALL)
    fake.put_image("y", "1", SMALL[::-1])
    under_way: list[str] = []
    together: list[int] = []

    def trick(handler: Handler, asked: Asked) -> bool:
        if "/blobs/" not in asked.path or fake.blobs.get(asked.path.rpartition("/")[2]) not in SMALL:
            return False
        with fake.lock:
            under_way.append(asked.path)
            together.append(len(under_way))
        time.sleep(0.03)
        with fake.lock:
            under_way.remove(asked.path)
        return False

    fake.tricks.append(trick)
    pulls = [threading.Thread(target=pull, args=(store, f"{fake.host}/{name}:1")) for name in "xy"]
    for one in pulls:
        one.start()
    for one in pulls:
        one.join()
    assert len(store.images.list()) == 2
    assert len(together) == len(SMALL)
    assert max(together) == most


def test_a_layer_is_unpacked_while_the_next_one_still_comes(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", SMALL[:2])
    is_unpacked = threading.Event()

    def trick(handler: Handler, asked: Asked) -> bool:
        if asked.path.endswith(sha256(SMALL[1])) and not is_unpacked.wait(5):
            handler.hang_up()
            return True
        return False

    fake.tricks.append(trick)

    def watch(progress: Progress) -> None:
        if (progress.part, progress.status) == (sha256(SMALL[0])[7:19], "Pull complete"):
            is_unpacked.set()

    store.registries.client = RegistryClient(RegistrySettings(attempts=1), timeouts=Timeouts(2, 10, 10), pace=NO_PAUSE)
    pull(store, f"{fake.host}/x:1", report=watch)
    assert is_unpacked.is_set()


def test_what_mirrors_said_is_told_with_the_origins_refusal(store: Engine, fake: FakeRegistry) -> None:
    reach(store, mirrors=(fake.url, "http://127.0.0.1:1"), proxies=Proxies(https="http://127.0.0.1:1"), attempts=1)
    with pytest.raises(EngineError, match="proxy") as caught:
        pull(store, "x:1")
    assert f"mirror {fake.host}: manifest for x:1 not found" in str(caught.value.hint)
    assert "mirror 127.0.0.1:1: " in str(caught.value.hint)


def test_a_copy_goes_on_after_either_side_has_broken_off(
    store: Engine, fake: FakeRegistry, registry: RunningRegistry
) -> None:
    digest = fake.put_image("x", "1", [LAYER])
    fake.tricks.append(breaks_after(900_000, 1_200_000))  # type: ignore[arg-type]
    line = BreakingLine(registry.host)
    line.cuts_up = [600_000, 700_000]
    target = f"{line.host}/copied/broken:1"
    copied = store.registries.copy(f"{fake.host}/x:1", target, NoCredentials(), silent, CancelToken())
    assert (copied.digest, line.cuts_up) == (digest, [])
    assert fake.sent[sha256(LAYER)] < 2 * len(LAYER)
    pull(store, target)
    assert store.images.read_file(target, "/d/f", 2_000_000, 50) == CONTENT[2_000_000:2_000_050]
    line.close()
