"""Volumes that are mounts of their own, parts of volumes, and images as mounts."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import Conflict, Denied, EngineError, InvalidInput, InvalidSpec, NoSpace, NotFound, Unsupported
from core.linux.procfs import mount_points
from core.model.container import ContainerSpec
from core.model.isolation import Namespaces
from core.model.mounts import MountSpec, parse_mount
from core.model.progress import CancelToken, silent
from core.model.restart import RestartPolicy
from tests.archives import directory, member, symlink, tar
from tests.conftest import STARTER, Runner, wait_until
from tests.stores import import_tar

IN_MEMORY = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=1777"}


@pytest.fixture(autouse=True)
def _nothing_stays(engine: Engine) -> Iterator[None]:
    yield
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True, volumes=True)
    engine.volumes.prune(all=True)
    assert engine.volumes.list() == []
    shared = engine.roots.run / "volumes"
    wait_until(lambda: not shared.exists() or os.listdir(shared) == [], "volumes in memory to be let go")
    assert [point for point in mount_points() if point.startswith(str(engine.roots.data))] == []


def volume(name: str, target: str, **wish: object) -> MountSpec:
    return MountSpec(kind="volume", source=name, target=target, **wish)  # type: ignore[arg-type]


def test_F4_a_volume_in_memory_is_shared_while_somebody_uses_it_and_empty_afterwards(
    engine: Engine, run: Runner
) -> None:
    engine.volumes.create("memory", options=IN_MEMORY)
    with pytest.raises(NotFound, match="lies in memory and nobody uses it"):
        engine.volumes.list_dir("memory", "/")
    first = run.background("sleep", "1000", mounts=(volume("memory", "/m"),))
    assert run.exec(first, "sh", "-c", "echo shared >/m/file; chmod 640 /m/file").code == 0
    second = run.sh("cat /m/file; df -k /m | tail -1; echo more >/m/other", mounts=(volume("memory", "/m"),))
    assert second.lines[0] == "shared"
    assert "1024" in second.lines[1]
    assert run.exec(first, "cat", "/m/other").out == "more\n"
    assert [entry.name for entry in engine.volumes.list_dir("memory", "/")] == ["file", "other"]
    assert engine.volumes.read_file("memory", "/file") == b"shared\n"
    refused = run.sh("echo x >/m/x", mounts=(volume("memory", "/m", read_only=True),))
    assert "ead-only file system" in refused.err
    full = run.sh("dd if=/dev/zero of=/m/big bs=64k count=40; stat -c %s /m/big", mounts=(volume("memory", "/m"),))
    assert int(full.out) < 1 << 20
    engine.containers.stop(first, timeout_s=0)
    assert run.sh("ls /m", mounts=(volume("memory", "/m"),)).out == ""


def test_F4_a_volume_in_memory_outlives_killed_monitors(engine: Engine, run: Runner) -> None:
    engine.volumes.create("memory", options=IN_MEMORY)
    first = run.background("sleep", "1000", mounts=(volume("memory", "/m"),))
    run.exec(first, "sh", "-c", "echo kept >/m/file")
    note = engine.roots.run / "volumes" / "memory" / f"{first[:16]}.json"
    before = note.read_bytes()
    monitor = os.stat(f"/proc/{_monitor(engine, first)}") and _monitor(engine, first)
    os.kill(monitor, signal.SIGKILL)
    assert run.sh("cat /m/file", mounts=(volume("memory", "/m"),)).out == "kept\n"  # at once, whoever holds it by now
    wait_until(lambda: note.read_bytes() != before, "a successor")
    assert run.sh("cat /m/file", mounts=(volume("memory", "/m"),)).out == "kept\n"
    engine.containers.kill(first)
    assert engine.containers.wait(first) == 137
    wait_until(lambda: not note.exists(), "the successor to let go")


def _monitor(engine: Engine, container: str) -> int:
    import json

    return int(json.loads((engine.roots.run / "volumes" / "memory" / f"{container[:16]}.json").read_text())["pid"])


def test_F4_a_volume_in_memory_of_a_remapped_container(engine: Engine, run: Runner) -> None:
    engine.volumes.create("memory", options=IN_MEMORY)
    remapped = Namespaces(user="remap")
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 3):  # tmpfs can't be idmapped yet
        with pytest.raises(EngineError, match="can't be shown to a user namespace"):
            run.background("sleep", "1000", mounts=(volume("memory", "/m"),), namespaces=remapped)
        return
    first = run.background("sleep", "1000", mounts=(volume("memory", "/m"),), namespaces=remapped)
    assert run.exec(first, "sh", "-c", "echo own >/m/file; stat -c %u:%g /m/file").out == "0:0\n"
    assert run.sh("stat -c %u /m/file; cat /m/file", mounts=(volume("memory", "/m"),)).out == "0\nown\n"


def test_F4_a_volume_can_be_a_directory_of_the_host(engine: Engine, run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there\n")
    engine.volumes.create("bound", options={"type": "none", "device": str(tmp_path), "o": "bind"})
    assert run.sh("cat /b/file; echo new >/b/new", mounts=(volume("bound", "/b"),)).out == "there\n"
    assert (tmp_path / "new").read_text() == "new\n"
    assert [entry.name for entry in engine.volumes.list_dir("bound", "/")] == ["file", "new"]
    engine.volumes.create("fixed", options={"type": "none", "device": str(tmp_path), "o": "bind,ro"})
    assert "ead-only" in run.sh("echo x >/b/x", mounts=(volume("fixed", "/b"),)).err
    engine.volumes.create("nowhere", options={"type": "none", "device": str(tmp_path / "no"), "o": "bind"})
    made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",), mounts=(volume("nowhere", "/b"),)))
    with pytest.raises(EngineError, match=r"failed to mount local volume: mount .*/no:.*, flags: 0x1000: no such file"):
        engine.containers.start(made.id)
    assert engine.containers.inspect(made.id).status == "created"


def test_F4_what_can_not_be_mounted_is_told_in_dockers_words(engine: Engine, run: Runner) -> None:
    engine.volumes.create("odd", options={"type": "tmpfs", "device": "tmpfs", "o": "sizze=1"})
    engine.volumes.create("nofs", options={"type": "No-Such-FS", "device": "x"})
    for name, words in (
        ("odd", r"failed to mount local volume: mount tmpfs:.*/volumes/odd/_data, data: sizze=1: invalid argument"),
        ("nofs", r"mount x:.*/volumes/nofs/_data: no such device"),
    ):
        made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",), mounts=(volume(name, "/b"),)))
        with pytest.raises(EngineError, match=words) as raised:
            engine.containers.start(made.id)
        assert getattr(raised.value, "exit_code", 125) == 125
        assert engine.containers.inspect(made.id).status == "created"


def test_F4_a_real_file_system_of_a_loop_device(engine: Engine, run: Runner, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], check=True)
    device = subprocess.run(["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True)
    loop = device.stdout.strip()
    try:
        engine.volumes.create("disk", options={"type": "ext4", "device": loop, "o": "noatime"})
        assert run.sh("echo on-disk >/d/file", mounts=(volume("disk", "/d"),)).code == 0
        holder = run.background("sleep", "1000", mounts=(volume("disk", "/d"),))
        assert run.sh("cat /d/file; echo b >/d/both", mounts=(volume("disk", "/d"),)).out == "on-disk\n"
        assert run.exec(holder, "cat", "/d/both").out == "b\n"
        engine.containers.remove(holder, force=True)
        assert [e.name for e in engine.volumes.list_dir("disk", "/")] == ["both", "file", "lost+found"]
        engine.volumes.write_file("disk", "/both", b"edited\n")
        assert engine.volumes.read_file("disk", "/both") == b"edited\n"
        stopped = engine.containers.create(
            ContainerSpec(image=STARTER, command=("true",), mounts=(volume("disk", "/d"),))
        )
        engine.containers.start(stopped.id)
        engine.containers.wait(stopped.id)
        assert engine.containers.read_file(stopped.id, "/d/both") == b"edited\n"
        engine.containers.copy_in(stopped.id, "/d", [tar([member("in", b"copied")])])
        assert engine.volumes.read_file("disk", "/in") == b"copied"
    finally:
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, force=True)
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"foo": "bar"}, 'create vol: invalid option: "foo"'),
        ({"type": "tmpfs"}, 'create vol: missing required option: "device"'),
        ({"device": "/x"}, 'create vol: missing required option: "type"'),
        ({"o": "bind"}, 'create vol: missing required option: "device"'),
        ({"size": "10m"}, "create vol: quota size requested but no quota support"),
        ({"type": "none", "device": "x", "o": "bind"}, "is not an absolute path"),
        ({"type": "tmpfs", "device": "a\nb"}, "line break"),
    ],
)
def test_F4_wrong_options_are_refused_in_dockers_words(engine: Engine, options: dict[str, str], words: str) -> None:
    with pytest.raises((InvalidInput, Unsupported), match=words):
        engine.volumes.create("vol", options=options)
    assert engine.volumes.list() == []


def test_SF12_a_subpath_stays_inside_the_volume(engine: Engine, run: Runner) -> None:
    script = (
        "mkdir -p /v/app/data; echo deep >/v/app/data/file; ln -s app/data /v/in; ln -s /etc /v/out; ln -s ../.. /v/up"
    )
    assert run.sh(script, mounts=(volume("vol", "/v"),)).code == 0
    assert run.sh("cat /d/file; echo x >/d/x", mounts=(volume("vol", "/d", subpath="app/data"),)).out == "deep\n"
    assert run.sh("cat /f", mounts=(volume("vol", "/f", subpath="app/data/file"),)).out == "deep\n"
    assert run.sh("cat /d/x", mounts=(volume("vol", "/d", subpath="in"),)).out == "x\n"
    mapped = run.sh(
        "stat -c %u /d/x", mounts=(volume("vol", "/d", subpath="app/data"),), namespaces=Namespaces(user="remap")
    )
    assert mapped.out == "0\n"
    for subpath in ("out", "up", "up/etc", "app/data/none", "app/data/file/x"):
        spec = ContainerSpec(image=STARTER, command=("true",), mounts=(volume("vol", "/d", subpath=subpath),))
        made = engine.containers.create(spec)
        with pytest.raises(EngineError, match=subpath.split("/")[0]):
            engine.containers.start(made.id)
    for subpath in ("../vol", "/etc", "a/../../b"):
        with pytest.raises(InvalidInput, match="relative path within the volume"):
            engine.containers.create(
                ContainerSpec(image=STARTER, command=("true",), mounts=(volume("vol", "/d", subpath=subpath),))
            )


def test_SF12_a_subpath_of_a_volume_in_memory(engine: Engine, run: Runner) -> None:
    engine.volumes.create("memory", options=IN_MEMORY)
    first = run.background("sleep", "1000", mounts=(volume("memory", "/m"),))
    run.exec(first, "sh", "-c", "mkdir /m/sub; echo in >/m/sub/file; ln -s /etc /m/out")
    assert run.sh("cat /s/file", mounts=(volume("memory", "/s", subpath="sub"),)).out == "in\n"
    made = engine.containers.create(
        ContainerSpec(image=STARTER, command=("true",), mounts=(volume("memory", "/s", subpath="out"),))
    )
    with pytest.raises(EngineError, match=r"cannot access path .*/_data/out"):
        engine.containers.start(made.id)


@pytest.mark.parametrize("user", ["", "remap"])
def test_an_image_is_mounted_to_be_read(engine: Engine, run: Runner, user: str) -> None:
    import_tar(engine, tar([directory("conf"), member("conf/a", b"one\n"), symlink("conf/link", "a")]), "files:1")
    base = run.background("sleep", "1000")
    run.exec(base, "sh", "-c", "echo upper >/etc/upper")
    from core.backend import CommitWish

    engine.containers.kill(base)
    engine.images.commit(base, CommitWish(reference="layered:1"), silent, CancelToken())
    namespaces = Namespaces(user=user) if user else Namespaces()
    mounts = (
        MountSpec(kind="image", source="files:1", target="/one"),
        MountSpec(kind="image", source="layered:1", target="/many"),
        parse_mount("type=image,source=layered:1,target=/part,image-subpath=etc/upper"),
    )
    done = run.sh(
        "cat /one/conf/link /many/etc/upper /part; stat -c %u /one/conf/a /many/etc; echo x >/one/x; echo x >/many/x",
        mounts=mounts,
        namespaces=namespaces,
    )
    assert done.lines == ["one", "upper", "upper", "0", "0"]
    assert done.err.count("ead-only file system") == 2
    used = engine.containers.list(all=True)[0]
    assert [entry.name for entry in engine.containers.list_dir(used.id, "/one/conf")] == ["a", "link"]
    assert engine.containers.read_file(used.id, "/many/etc/upper") == b"upper\n"
    with pytest.raises(Conflict, match="using its referenced image"):
        engine.images.remove("files:1")
    engine.images.remove("files:1", force=True)
    engine.images.prune(all=True)
    engine.containers.start(used.id)
    assert engine.containers.wait(used.id) == 1
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    engine.images.remove("layered:1", force=True)
    with pytest.raises(NotFound):
        engine.containers.create(
            ContainerSpec(
                image=STARTER, command=("true",), mounts=(MountSpec(kind="image", source="no:1", target="/x"),)
            )
        )


def test_F3_volumes_from_a_chain_keep_the_data_until_the_last_user_is_gone(engine: Engine, run: Runner) -> None:
    first = engine.containers.create(
        ContainerSpec(
            image=STARTER, command=("sh", "-c", "echo data >/dbdata/x"), name="dc01", mounts=(volume("", "/dbdata"),)
        )
    )
    engine.containers.start(first.id)
    assert engine.containers.wait(first.id) == 0
    second = run.background("sleep", "1000", volumes_from=("dc01",), name="dc02")
    third = run.background("sleep", "1000", volumes_from=("dc02:ro",), name="dc03")
    (name,) = {m.name for key in (first.id, second, third) for m in engine.containers.inspect(key).config.mounts}
    engine.containers.remove("dc01", volumes=True)
    assert run.exec(second, "sh", "-c", "cat /dbdata/x; echo more >>/dbdata/x").out == "data\n"
    assert run.exec(third, "cat", "/dbdata/x").out == "data\nmore\n"
    assert "ead-only" in run.exec(third, "sh", "-c", "echo x >/dbdata/y").err
    engine.containers.remove(second, force=True, volumes=True)
    with pytest.raises(Conflict, match="volume is in use"):
        engine.volumes.remove(name)
    engine.containers.remove(third, force=True, volumes=True)
    assert engine.volumes.inspect(name).used_by == ()


def test_F3_rm_leaves_an_anonymous_volume_that_others_mount(engine: Engine, run: Runner) -> None:
    first = run.background("sleep", "1000", mounts=(volume("", "/d"),), auto_remove=True, name="giver")
    run.exec(first, "sh", "-c", "echo kept >/d/x")
    taker = run.background("sleep", "1000", volumes_from=("giver",), name="taker")
    engine.containers.kill(first)
    wait_until(lambda: first not in [c.id for c in engine.containers.list(all=True)], "--rm")
    assert run.exec(taker, "cat", "/d/x").out == "kept\n"
    assert len(engine.volumes.list()) == 1
    assert run.sh("true", mounts=(volume("", "/alone"),), auto_remove=True).code == 0
    wait_until(lambda: len(engine.volumes.list()) == 1, "--rm of the other")


def test_F4_labels_can_be_changed(engine: Engine) -> None:
    engine.volumes.create("vol", labels={"a": "1", "b": "2"})
    assert engine.volumes.update("vol", add_labels={"c": "3", "a": "9"}, remove_labels=("b",)).labels == {
        "a": "9",
        "c": "3",
    }
    with pytest.raises(NotFound):
        engine.volumes.update("none", add_labels={"a": "1"})


def test_F4_export_and_import_keep_everything(engine: Engine, run: Runner) -> None:
    script = "cd /v; mkdir -p d/e; echo x >d/e/f; chown 7:8 d/e/f; chmod 4751 d/e/f; ln d/e/f g; ln -s d/e l; "
    script += "touch -d 2001-02-03 d"
    run.sh(script, mounts=(volume("vol", "/v"),))
    data = b"".join(engine.volumes.export("vol", silent, CancelToken()))
    import gzip

    for number, packed in enumerate((data, gzip.compress(data))):
        engine.volumes.create(f"copy{number}")
        engine.volumes.import_tar(f"copy{number}", io.BytesIO(packed), silent, CancelToken())
        shown = "cd /v; find . | sort; stat -c '%a %u:%g %h %Y' d d/e/f g; readlink l"
        assert (
            run.sh(shown, mounts=(volume(f"copy{number}", "/v"),)).out
            == run.sh(shown, mounts=(volume("vol", "/v"),)).out
        )
    engine.volumes.create("broken")
    with pytest.raises(EngineError, match="truncated"):
        engine.volumes.import_tar("broken", io.BytesIO(data[:-1024]), silent, CancelToken())
    with pytest.raises(EngineError, match="climbs out"):
        engine.volumes.import_tar("broken", io.BytesIO(tar([member("../x", b"x")])), silent, CancelToken())


def test_files_of_a_volume_and_of_a_container_are_edited_and_deleted(engine: Engine, run: Runner) -> None:
    holder = run.background("sleep", "1000", mounts=(volume("vol", "/v"),))
    run.exec(
        holder,
        "sh",
        "-c",
        "cd /v; echo old >f; chmod 600 f; chown 5:6 f; ln f second; mkdir -p d/e; ln -s /etc l; mkfifo p",
    )
    engine.volumes.write_file("vol", "/f", b"new\n")
    assert run.exec(holder, "sh", "-c", "cat /v/second; stat -c '%a %u:%g' /v/f").out == "new\n600 5:6\n"
    engine.containers.write_file(holder, "/v/f", b"by the container\n")
    assert engine.volumes.read_file("vol", "/second") == b"by the container\n"
    engine.volumes.remove_path("vol", "/d")
    engine.volumes.remove_path("vol", "/l")
    engine.containers.remove_path(holder, "/v/second")
    assert [entry.name for entry in engine.volumes.list_dir("vol", "/")] == ["f", "p"]
    assert run.exec(holder, "test", "-e", "/etc/passwd").code == 0
    for path, words in (("/", "root itself"), ("/none", "no such file"), ("/f/x", "no such file")):
        with pytest.raises(EngineError, match=words):
            engine.volumes.remove_path("vol", path)
    for path, words in (("/p", "not a regular file"), ("/none", "no such file"), ("/", "not a regular file")):
        with pytest.raises(EngineError, match=words):
            engine.volumes.write_file("vol", path, b"x")


def test_C2_cp_respects_what_is_read_only_in_dockers_words(engine: Engine, run: Runner) -> None:
    spec = ContainerSpec(
        image=STARTER,
        command=("sleep", "1000"),
        read_only=True,
        mounts=(volume("vol", "/v"), volume("vol", "/fixed", read_only=True)),
    )
    made = engine.containers.create(spec)
    engine.containers.start(made.id)
    piece = tar([member("f", b"x")])
    for _ in ("running", "stopped"):
        engine.containers.copy_in(made.id, "/v", [piece])
        with pytest.raises(Denied, match="container rootfs is marked read-only"):
            engine.containers.copy_in(made.id, "/etc", [piece])
        with pytest.raises(Denied, match="mounted volume is marked read-only"):
            engine.containers.copy_in(made.id, "/fixed", [piece])
        engine.containers.stop(made.id, timeout_s=0)


def test_a_volume_in_memory_begins_anew_with_each_run(engine: Engine) -> None:
    engine.volumes.create("memory", options=IN_MEMORY)
    spec = ContainerSpec(
        image=STARTER,
        command=("sh", "-c", "ls /m; touch /m/again; exit 3"),
        mounts=(volume("memory", "/m"),),
        restart=RestartPolicy(name="on-failure", most_retries=2),
    )
    made = engine.containers.create(spec)
    engine.containers.start(made.id)
    wait_until(lambda: engine.containers.inspect(made.id).status == "exited", "its last end")
    from core.model.logs import LogQuery

    assert list(engine.containers.logs(made.id, LogQuery())) == []


def test_bind_propagation_needs_a_mount_that_passes_mounts_on(engine: Engine, tmp_path: Path) -> None:
    for word in ("shared", "rslave"):
        mount = parse_mount(f"type=bind,src={tmp_path},dst=/x,bind-propagation={word}")
        made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",), mounts=(mount,)))
        with pytest.raises(InvalidSpec, match=f"path {tmp_path} is mounted on .* but it is not a shared"):
            engine.containers.start(made.id)


@pytest.fixture
def shared_place(tmp_path: Path) -> Iterator[Path]:
    """A mount of the host's that passes on what is mounted below it."""
    place = tmp_path / "shared"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    subprocess.run(["mount", "--make-shared", str(place)], check=True)
    (place / "sub").mkdir()
    yield place
    subprocess.run(["umount", "--recursive", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    ("user", "word"), [("", ""), ("", "rprivate"), ("", "rslave"), ("remap", ""), ("remap", "rslave")]
)
def test_SF8_what_the_host_mounts_crosses_only_where_it_was_asked_for(
    engine: Engine, run: Runner, shared_place: Path, user: str, word: str
) -> None:
    mount = MountSpec(kind="bind", source=str(shared_place), target="/x", propagation=word)
    beside = MountSpec(kind="bind", source=str(shared_place), target="/beside")
    namespaces = Namespaces(user=user) if user else Namespaces()
    holder = run.background("sleep", "1000", mounts=(mount, beside), namespaces=namespaces)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(shared_place / "sub")], check=True)
    (shared_place / "sub" / "seen").write_text("")
    assert run.exec(holder, "ls", "/x/sub").out == ("seen\n" if word == "rslave" else "")
    assert run.exec(holder, "ls", "/beside/sub").out == ""


@pytest.mark.parametrize("word", ["", "rslave", "rshared"])
def test_SF8_what_a_container_mounts_reaches_the_host_only_where_it_was_asked_for(
    engine: Engine, run: Runner, shared_place: Path, word: str
) -> None:
    mount = MountSpec(kind="bind", source=str(shared_place), target="/x", propagation=word)
    script = "mount -t tmpfs none /x/sub && touch /x/sub/inside"
    holder = run.background("sleep", "1000", mounts=(mount,), privileged=True)
    assert run.exec(holder, "sh", "-c", script, privileged=True).code == 0
    assert os.listdir(shared_place / "sub") == (["inside"] if word == "rshared" else [])


def test_SF9_read_only_goes_for_mounts_below_unless_told_otherwise(
    engine: Engine, run: Runner, shared_place: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(shared_place / "sub")], check=True)
    base = f"type=bind,src={shared_place},dst=/x,readonly"
    script = "echo x >/x/sub/file"
    for user in ("", "remap"):
        for more, is_written in (("", False), (",bind-recursive=readonly", False), (",bind-recursive=writable", True)):
            done = run.sh(
                script,
                mounts=(parse_mount(base + more),),
                namespaces=Namespaces(user=user) if user else Namespaces(),
            )
            if is_written and not user:
                assert done.code == 0
            elif not is_written:
                assert "ead-only file system" in done.err
    hidden = run.sh("ls /x/sub", mounts=(parse_mount(base + ",bind-recursive=disabled"),))
    assert hidden.out == ""


def test_F4_a_full_or_unwritable_volume_says_so(engine: Engine, run: Runner, shared_place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(shared_place / "sub")], check=True)
    small = {"type": "none", "device": str(shared_place / "sub"), "o": "bind"}
    engine.volumes.create("small", options=small)
    for _ in range(2):  # the image has more in /bin than fits: nothing of it, and no container, is left
        with pytest.raises(NoSpace, match=r"volume small: .*no space left on device"):
            engine.containers.create(
                ContainerSpec(image=STARTER, command=("true",), mounts=(volume("small", "/bin"),), name="unmade")
            )
    assert engine.containers.list(all=True) == []
    engine.volumes.copy_in("small", "/", [tar([member("f", b"kept")])])
    with pytest.raises(NoSpace, match=r"volume small: .*no space left on device"):
        engine.volumes.import_tar("small", io.BytesIO(tar([member("big", bytes(1 << 20))])), silent, CancelToken())
    with pytest.raises(NoSpace, match="no space left on device"):
        engine.volumes.write_file("small", "/f", bytes(1 << 20))
    assert engine.volumes.read_file("small", "/f") == b"kept"
    subprocess.run(["mount", "-o", "remount,bind,ro", str(shared_place / "sub")], check=True)
    for deed in (
        lambda: engine.volumes.write_file("small", "/f", b"x"),
        lambda: engine.volumes.remove_path("small", "/f"),
        lambda: engine.volumes.copy_in("small", "/", [tar([member("g", b"x")])]),
    ):
        with pytest.raises(Denied, match=r"volume small: .*read-only file system"):
            deed()
