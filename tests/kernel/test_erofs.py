"""Layers mounted straight from their tar: the same files as unpacked ones, in containers, in commands, after kills.

Where this kernel can't mount them, all but the last tests are skipped with the reason, and those show that it is said.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.backend import CommitWish
from core.engine import reconcile
from core.engine.engine import Engine
from core.engine.records import ContainerRecords
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from core.model.restart import parse_restart_policy
from core.monitor.layer_mounts import Shelf
from core.storage import drivers
from core.storage.drivers import Tried, can_mount
from core.storage.layers import MOUNTED, UNPACKED, Layer, read_layer
from tests.archives import directory, docker_archive, hardlink, member, symlink, tar
from tests.conftest import STARTER, Runner, wait_until
from tests.faults.test_kills import keeper_of, monitor_of, roles, spawner_of
from tests.security.test_user_namespaces import REMAP
from tests.stores import contents, import_tar, layer_files, let_go, load, open_store, save
from tests.trees import CAPABILITY, named, nasty, sparse, tree


def layer_of(store: Engine, reference: str = "made:1", index: int = -1) -> Layer:
    return read_layer(store.roots, store.images.inspect(reference).layers[index])


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[Engine, Engine]]:
    """One that unpacks, one that mounts."""
    top = Path(tempfile.mkdtemp(prefix="wharf-erofs-", dir="/var/tmp"))
    pair = open_store(top / "unpacked"), open_store(top / "mounted")
    for store, driver in zip(pair, (UNPACKED, MOUNTED), strict=True):
        store.roots.storage_driver = driver
    tried = can_mount(pair[1].roots)
    try:
        if not tried.works:
            pytest.skip(f"no tar can be mounted here: {tried.why}")
        yield pair
    finally:
        let_go()
        for store in pair:
            store.system.reset()
        shutil.rmtree(top)


@pytest.fixture
def mounting(stores: tuple[Engine, Engine], request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Containers of images that are mounted; none stays."""
    engine = stores[1]
    engine.images.starter(STARTER, silent, CancelToken())
    assert layer_of(engine, STARTER).driver == MOUNTED
    yield Runner(engine, lambda: request.getfixturevalue("probe_program"))
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True, volumes=True)
    let_go()


# the same files


def compare(stores: tuple[Engine, Engine], data: bytes) -> None:
    timed = named(data)
    unpacked = tree(import_tar(stores[0], data), timed=timed)
    mounted = tree(import_tar(stores[1], data), timed=timed)
    assert (layer_of(stores[1]).driver, layer_of(stores[1]).why) == (MOUNTED, "")
    assert layer_of(stores[1]).size_bytes == layer_of(stores[0]).size_bytes
    assert mounted.keys() == unpacked.keys()
    assert {path: seen for path, seen in mounted.items() if seen != unpacked[path]} == {}


def test_a_nasty_tar_shows_the_same_mounted_and_unpacked(stores: tuple[Engine, Engine]) -> None:
    compare(stores, nasty())


@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_files_with_holes_show_the_same(stores: tuple[Engine, Engine], version: str, tmp_path: Path) -> None:
    compare(stores, sparse(tmp_path, version))


def test_this_hosts_own_files_show_the_same(stores: tuple[Engine, Engine]) -> None:
    """Files that nobody has made for a test, packed by GNU tar in its own form."""
    command = ["tar", "-c", "--format=gnu", "-C", "/", "etc", "usr/sbin"]
    packed = subprocess.run(command, capture_output=True, check=False)
    compare(stores, packed.stdout)


def test_what_only_unpacking_does_justice_is_unpacked_and_says_why(stores: tuple[Engine, Engine]) -> None:
    root = import_tar(stores[1], tar([directory("d"), symlink("l", "d"), member("l/f", b"through the link")]))
    assert (root / "d/f").read_bytes() == b"through the link"
    assert layer_of(stores[1]).driver == UNPACKED
    assert "reached through a link" in layer_of(stores[1]).why
    packed = docker_archive([tar([symlink("l", "."), member("l/f", b"2")])], ["packed:1"], pack=_gzip)
    load(stores[1], packed)
    assert "reached through a link" in layer_of(stores[1], "packed:1").why
    assert stores[1].images.read_file("packed:1", "/f") == b"2"
    assert sorted(os.listdir(stores[1].roots.layer(layer_of(stores[1], "packed:1").chain_id))) == ["diff", "layer.json"]


def _gzip(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, 1)


def test_a_plain_archive_is_stored_once_and_a_packed_one_beside_its_tar(stores: tuple[Engine, Engine]) -> None:
    store, data = stores[1], tar([member("f", b"x" * 100_000)])
    import_tar(store, data)
    layer = layer_of(store)
    assert (store.roots.layer(layer.chain_id) / "layer.tar").samefile(store.roots.blob(layer.blob))
    load(store, docker_archive([tar([member("g", b"y" * 50_000)])], ["packed:1"], pack=_gzip))
    layer = layer_of(store, "packed:1")
    assert layer.driver == MOUNTED
    place = store.roots.layer(layer.chain_id) / "layer.tar"
    assert (place.stat().st_size, place.stat().st_nlink) == (layer.index.tar_bytes, 1)  # type: ignore[union-attr]
    assert store.images.read_file("packed:1", "/g") == b"y" * 50_000
    assert save(store, "packed:1") == save(store, "packed:1")


# containers


def test_a_container_reads_writes_and_removes_what_lies_in_a_tar(mounting: Runner) -> None:
    script = (
        "cat /etc/group | head -1; echo more >> /etc/passwd; tail -1 /etc/passwd; rm /etc/group; ls /etc/group;"
        "mkdir /new; mv /etc/passwd /new/moved; chmod 700 /bin; ls -d /new/moved; find / -xdev | wc -l"
    )
    made = mounting.background("sh", "-c", f"{script}; sleep 100")
    wait_until(lambda: log(mounting.engine, made).count("\n") >= 5, "its output")
    lines = [line for line in log(mounting.engine, made).splitlines() if not line.startswith("ls: ")]
    assert lines[0].startswith("root:")
    assert lines[1:3] == ["more", "/new/moved"]
    assert int(lines[3]) > 200
    changed = {(change.kind, change.path) for change in mounting.engine.containers.changes(made)}
    assert {("D", "/etc/group"), ("A", "/new/moved"), ("D", "/etc/passwd"), ("C", "/bin")} <= changed
    again = mounting.sh("head -1 /etc/passwd; stat -c %a /bin")
    assert again.lines[0].startswith("root:")
    assert "erofs" not in Path("/proc/self/mountinfo").read_text()


def log(engine: Engine, container: str) -> str:
    from tests.faults.test_kills import log_text

    return log_text(engine, container)


def test_copy_up_keeps_capabilities_attributes_owners_and_other_names(mounting: Runner) -> None:
    store = mounting.engine
    capable = {"SCHILY.xattr.security.capability": CAPABILITY}
    data = tar(
        [
            member("bin/busybox", Path("/bin/busybox").read_bytes(), mode=0o755),
            symlink("bin/sh", "busybox"),
            member("ping", b"p" * 5000, mode=0o4755, uid=7, pax_headers=capable),
            member("tagged", b"t", pax_headers={"SCHILY.xattr.user.tag": "kept"}),
            member("one", b"first"),
            hardlink("two", "one"),
        ]
    )
    import_tar(store, data, "copied:1")
    script = "/bin/busybox touch -c /ping /tagged; echo more >> /one; /bin/busybox cat /two /one"
    made = mounting.background("/bin/sh", "-c", script, image="copied:1")
    store.containers.wait(made)
    assert log(store, made) == "firstfirstmore\n"
    upper = store.roots.container(made) / "upper"
    assert os.getxattr(upper / "ping", "security.capability") == CAPABILITY.encode("utf-8", "surrogateescape")
    assert ((upper / "ping").stat().st_mode & 0o7777, (upper / "ping").stat().st_uid) == (0o4755, 7)
    assert (upper / "ping").read_bytes() == b"p" * 5000
    assert os.getxattr(upper / "tagged", "user.tag") == b"kept"


def test_layers_of_both_kinds_are_stacked(mounting: Runner) -> None:
    store = mounting.engine
    layers = [
        tar([directory("d"), member("d/a", b"low"), member("d/b", b"low"), directory("e"), member("e/x")]),
        tar([symlink("l", "d"), directory("d"), member("d/c", b"middle"), member("l/through", b"unpacked")]),
        tar([member("d/.wh.a"), directory("e"), member("e/.wh..wh..opq"), member("e/y"), member("d/b", b"top")]),
    ]
    load(store, docker_archive(layers, ["both:1"]))
    assert [layer_of(store, "both:1", at).driver for at in range(3)] == [MOUNTED, UNPACKED, MOUNTED]
    mount = MountSpec(kind="image", source="both:1", target="/files", read_only=True)
    result = mounting.sh("cd /files; ls d e; cat d/b; touch d/x", mounts=(mount,))
    assert result.out.split() == ["d:", "b", "c", "through", "e:", "y", "top"]
    assert "Read-only file system" in result.err
    assert store.images.read_file("both:1", "/d/b") == b"top"
    assert [entry.name for entry in store.images.list_dir("both:1", "/e")] == ["y"]
    inner = MountSpec(kind="image", source=STARTER, target="/one", subpath="bin")
    assert "busybox" in mounting.sh("ls /one", mounts=(inner,)).out


def test_changes_are_committed_exported_copied_and_saved(mounting: Runner) -> None:
    store = mounting.engine
    made = mounting.background("sh", "-c", "echo new > /etc/new; rm /etc/group; chmod 711 /; sleep 100")
    wait_until(lambda: len(store.containers.changes(made)) >= 3, "its changes")
    store.images.commit(made, CommitWish(reference="committed:1"), silent, CancelToken())
    assert layer_of(store, "committed:1").driver == MOUNTED
    result = mounting.sh("cat /etc/new; ls /etc/group; stat -c %a /", image="committed:1")
    assert result.lines == ["new", "711"]
    archive = save(store, "committed:1")
    for container in store.containers.list(all=True):
        if container.id != made:
            store.containers.remove(container.id)
    store.images.remove("committed:1")
    assert load(store, archive)
    store.containers.kill(made)
    packed = b"".join(store.containers.export(made, silent, CancelToken()))
    import_tar(store, packed, "exported:1")
    assert mounting.sh("cat /etc/new", image="exported:1").out == "new\n"
    copied = b"".join(store.containers.copy_out(made, "/etc/passwd", CancelToken()))
    assert b"root:" in copied


@pytest.mark.parametrize("image", ["starter", "layers"])
def test_a_remapped_container_sees_the_owners_of_the_image(mounting: Runner, image: str) -> None:
    store = mounting.engine
    wish = {}
    if image == "layers":
        load(store, docker_archive([tar([member("mine", b"m", uid=1000)]), tar([member("a", b"a")])], ["owned:1"]))
        wish["mounts"] = (MountSpec(kind="image", source="owned:1", target="/files", read_only=True),)
    script = "stat -c '%u %a' /etc/passwd; echo x >> /etc/passwd && echo written; stat -c %u /files/mine; cat /files/a"
    result = mounting.sh(script, namespaces=REMAP, **wish)
    assert result.lines == ["0 644", "written"] + (["1000", "a"] if image == "layers" else [])


# one mount a layer, kept and let go


def shelf_of(engine: Engine) -> list[str]:
    """What the spawner keeps mounted."""
    pid = spawner_of(engine)
    for name in os.listdir(f"/proc/{pid}/fd"):
        place = f"/proc/{pid}/fd/{name}"
        try:
            if os.readlink(place) == "/" and os.path.isdir(place) and not os.path.exists(f"{place}/proc"):
                return sorted(os.listdir(place))
        except OSError:
            continue
    raise AssertionError("it has no shelf")


def file_systems() -> set[str]:
    """Every mounted EROFS of this host, by the kernel's own list."""
    return {name for name in os.listdir("/sys/fs/erofs") if name != "features"}


def test_containers_of_one_image_share_one_mount_and_leave_nothing(mounting: Runner) -> None:
    mounting("true")
    before, shelf = file_systems(), shelf_of(mounting.engine)
    running = [mounting.background("sleep", "100") for _ in range(5)]
    for _ in range(10):
        assert mounting("true").code == 0
    assert len([name for name in shelf if name.startswith(layer_of(mounting.engine, STARTER).chain_id[7:])]) == 1
    assert shelf_of(mounting.engine) == shelf
    assert file_systems() <= before
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "erofs" in line] == []
    descriptors = len(os.listdir(f"/proc/{spawner_of(mounting.engine)}/fd"))
    for container in running:
        mounting.engine.containers.remove(container, force=True)
    for _ in range(10):
        mounting("true")
    assert len(os.listdir(f"/proc/{spawner_of(mounting.engine)}/fd")) <= descriptors


def test_a_removed_image_is_let_go_and_its_container_goes_on(mounting: Runner) -> None:
    store = mounting.engine
    import_tar(store, tar([member("bin/sh", Path("/bin/busybox").read_bytes(), mode=0o755)]), "going:1")
    chain = layer_of(store, "going:1").chain_id[7:]
    made = mounting.background("/bin/sh", "-c", "sleep 100", image="going:1")
    assert any(name.startswith(chain) for name in shelf_of(store))
    store.containers.remove(made, force=True)
    assert any(name.startswith(chain) for name in shelf_of(store)), "it is kept for the next start"
    store.images.remove("going:1")
    wait_until(lambda: not any(name.startswith(chain) for name in shelf_of(store)), "the mount to be let go")
    made = mounting.background("sleep", "100")
    place = store.roots.layer(layer_of(store, STARTER).chain_id)
    place.rename(store.roots.trash / "away")
    try:
        wait_until(lambda: not any(name.startswith(place.name) for name in shelf_of(store)), "the mount to be let go")
        assert mounting.exec(made, "cat", "/etc/passwd").out.startswith("root:")
    finally:
        (store.roots.trash / "away").rename(place)


def test_what_was_read_is_kept_in_memory_once(stores: tuple[Engine, Engine], tmp_path: Path) -> None:
    """The tar's own pages are let go; the layer's, which containers share, are others."""
    import_tar(stores[1], tar([member("f", os.urandom(5_000_000))]), "read:1")
    place = stores[1].roots.layer(layer_of(stores[1], "read:1").chain_id)
    assert len((layer_files(stores[1], f"sha256:{place.name}") / "f").read_bytes()) == 5_000_000

    def pages() -> int:
        command = ["fincore", "-n", "-o", "PAGES", str(place / "layer.tar")]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert pages() > 1000
    (tmp_path / f"{place.name}.1").mkdir()
    (tmp_path / f"{'0' * 64}.1").mkdir()
    top = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    Shelf(-1, top).forget_doubles(str(stores[1].roots.layers))
    os.close(top)
    assert pages() < 50


def kill_monitor(run: Runner, container: str) -> None:
    os.kill(monitor_of(run.engine, container), signal.SIGKILL)


def kill_spawner(run: Runner, _container: str) -> None:
    spawner = spawner_of(run.engine)
    os.kill(spawner, signal.SIGKILL)
    wait_until(lambda: roles(run.engine, "spawner") not in ([], [spawner]), "the next spawner")


def kill_keeper_and_spawner(run: Runner, _container: str) -> None:
    for pid in (keeper_of(run.engine), spawner_of(run.engine)):
        os.kill(pid, signal.SIGKILL)


def kill_all(run: Runner, container: str) -> None:
    for pid in (keeper_of(run.engine), spawner_of(run.engine), monitor_of(run.engine, container)):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_monitor, kill_spawner, kill_keeper_and_spawner, kill_all])
def test_after_kills_containers_go_on_start_again_and_share(
    mounting: Runner, kill: Callable[[Runner, str], None]
) -> None:
    engine = mounting.engine
    made = mounting.background("sh", "-c", "sleep 1000 & wait", restart=parse_restart_policy("always"))
    kill(mounting, made)
    other = mounting.background("sleep", "1000")  # by whichever spawner there is now
    assert mounting.exec(made, "head", "-c4", "/etc/passwd").out == "root"
    before = engine.containers.inspect(made).restart_count
    engine.containers.kill(other)
    mounting.exec(made, "sh", "-c", "kill -TERM 1; killall sleep")
    wait_until(lambda: engine.containers.inspect(made).restart_count > before, "the policy to start it again")
    wait_until(lambda: engine.containers.inspect(made).status == "running", "it to run")
    assert mounting.exec(made, "head", "-c4", "/etc/passwd").out == "root"
    assert mounting("head", "-c4", "/etc/passwd").out == "root"


def test_a_missing_tar_is_said_by_name_and_nothing_is_left_running(mounting: Runner) -> None:
    from core.errors import SandboxFailed

    store = mounting.engine
    import_tar(store, tar([member("bin/sh", Path("/bin/busybox").read_bytes(), mode=0o755)]), "torn:1")
    (store.roots.layer(layer_of(store, "torn:1").chain_id) / "layer.tar").unlink()
    with pytest.raises(SandboxFailed, match=r"mount layer .*layer\.tar: no such file"):
        mounting("/bin/sh", "-c", "true", image="torn:1")


# where it can't be


@pytest.fixture
def in_memory() -> Iterator[Engine]:
    """A data root on a tmpfs, from which no kernel mounts a tar."""
    top = Path(tempfile.mkdtemp(prefix="wharf-erofs-", dir="/dev/shm"))
    engine = open_store(top)
    engine.roots.storage_driver = MOUNTED
    yield engine
    engine.system.reset()
    shutil.rmtree(top)


def test_where_no_tar_can_be_mounted_layers_are_unpacked_and_it_is_said(in_memory: Engine) -> None:
    root = import_tar(in_memory, tar([member("f", b"unpacked")]))
    assert (root / "f").read_bytes() == b"unpacked"
    assert layer_of(in_memory).driver == UNPACKED
    tried = can_mount(in_memory.roots)
    assert not tried.works
    assert tried.why
    (said,) = [feature for feature in in_memory.doctor() if feature.name == "layers"]
    assert (said.standing, tried.why in said.found) == ("warning", True)
    info = in_memory.system.info()
    assert (info.storage_driver, dict(info.storage_status)["Mounts Tars"]) == (UNPACKED, f"false: {tried.why}")
    assert in_memory.system.fsck(deep=True) == []


def test_a_store_that_comes_to_a_host_without_is_unpacked_at_its_first_use(
    stores: tuple[Engine, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    store.roots.storage_driver = stores[1].roots.storage_driver
    import_tar(store, tar([member("f", b"same")]), "travels:1")
    before = contents(store)
    with monkeypatch.context() as patch:
        patch.setattr(drivers, "_read_mounted", lambda _directory: Tried(works=False, why="another kernel"))
        assert not can_mount(store.roots, anew=True).works
        (finding,) = [one for one in store.system.fsck() if layer_of(store, "travels:1").chain_id[7:19] in one.key]
        assert "can't be mounted on this host: another kernel" in finding.problem
        (store.roots.run / "boot_id").unlink()
        reconcile.after_boot(store.roots, ContainerRecords(store.roots))
        assert layer_of(store, "travels:1").driver == UNPACKED
        assert store.images.read_file("travels:1", "/f") == b"same"
        assert store.system.fsck(deep=True) == []
    assert can_mount(store.roots, anew=True).works
    assert contents(store) == before
