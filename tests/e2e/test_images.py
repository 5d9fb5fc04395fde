"""Images and containers together: commit, save and load, export and import, rmi, diff and cp."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator

import pytest

from core.backend import CommitWish
from core.engine.engine import Engine
from core.errors import Conflict, InvalidInput, LimitExceeded, NotFound
from core.model.container import ContainerSpec
from core.model.mounts import MountSpec
from core.model.progress import CancelToken, silent
from tests.archives import directory, member, symlink, tar
from tests.conftest import STARTER, Runner
from tests.stores import contents, load, open_store, save


@pytest.fixture(autouse=True)
def _only_the_starter_stays(engine: Engine) -> Iterator[None]:
    yield
    forget_all_containers(engine)
    starter = engine.images.resolve(STARTER)
    for _ in range(3):  # children before parents
        for image in engine.images.list(all=True):
            if image.id != starter:
                try:
                    engine.images.remove(image.id, force=True)
                except (Conflict, NotFound):
                    continue
    assert [image.id for image in engine.images.list(all=True)] == [starter]


def made(engine: Engine, run: Runner, script: str, **wish: object) -> str:
    """A stopped container in which a script ran; its id."""
    spec = ContainerSpec(image=STARTER, command=("sh", "-ec", script), **wish)  # type: ignore[arg-type]
    container = engine.containers.create(spec).id
    engine.containers.start(container)
    assert engine.containers.wait(container) == 0
    return container


def commit(engine: Engine, container: str, reference: str, **wish: object) -> str:
    return engine.images.commit(
        container,
        CommitWish(reference=reference, **wish),  # type: ignore[arg-type]
        silent,
        CancelToken(),
    )


def forget_all_containers(engine: Engine) -> None:
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True, volumes=True)


def changes(engine: Engine, container: str) -> list[str]:
    return [f"{change.kind} {change.path}" for change in engine.containers.changes(container)]


def test_B9_diff_lists_what_was_added_changed_and_deleted(engine: Engine, run: Runner) -> None:
    script = """
        echo x > /new; mkdir -p /d/e; echo y > /d/e/f; rm /etc/group; chmod 600 /etc/passwd
        rm -rf /var/log; mkdir /var/log; touch /var/log/z; rm -rf /usr/local; echo file > /home/f
        touch -d @0 /etc/profile; rm /home/f; touch /tmp/t
    """
    assert changes(engine, made(engine, run, script)) == [
        "A /d",
        "A /d/e",
        "A /d/e/f",
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "A /new",
        "C /tmp",
        "A /tmp/t",
        "C /usr",
        "D /usr/local",
        "C /var",
        "C /var/log",
        "A /var/log/z",
    ]


def test_B9_what_the_engine_puts_into_every_container_is_no_change(engine: Engine, run: Runner) -> None:
    container = made(
        engine, run, "cat /etc/hosts /etc/hostname /etc/resolv.conf >/dev/null; ls /dev /proc /sys >/dev/null"
    )
    assert changes(engine, container) == []
    running = run.background("sleep", "100")
    assert changes(engine, running) == []


def test_C1_commit_keeps_changes_author_message_and_config(engine: Engine, run: Runner) -> None:
    container = made(
        engine,
        run,
        "echo 修改 > /page; ln /page /page2; ln -s /page /link; mkfifo /pipe; chmod 4711 /page; mkdir -m 1777 /open",
        env=("A=1",),
        user="",
        working_dir="/tmp",
        labels={"k": "v"},
    )
    image_id = commit(
        engine, container, "httpd:v2", author="muyu", message="修改了默认首页", changes=("ENV B=2 C='3 4'",)
    )
    image = engine.images.inspect("httpd:v2")
    assert image.id == image_id
    assert (image.author, image.comment) == ("muyu", "修改了默认首页")
    assert image.parent_id == engine.images.resolve(STARTER)
    assert {"A=1", "B=2", "C=3 4"} <= set(image.config.env)
    assert image.config.working_dir == "/tmp"
    assert image.labels == {"k": "v"}
    seen = run.sh("cat /page; stat -c '%a %h %N' /page /link /open; test -p /pipe; pwd; echo $B$C", image="httpd:v2")
    assert seen.lines[0] == "修改"
    assert seen.lines[1].startswith("4711 2")
    assert "/page" in seen.lines[2]
    assert seen.lines[3].startswith("1777")
    assert seen.lines[4:] == ["/tmp", "23 4"]


def test_C1_commit_carries_deletions_and_replaced_directories(engine: Engine, run: Runner) -> None:
    container = made(
        engine, run, "rm /etc/group; rm -rf /var/log; mkdir /var/log; touch /var/log/z; rm -r /home; touch /home"
    )
    commit(engine, container, "gone:1")
    seen = run.sh("ls /etc/group; ls -A /var/log; test -f /home && echo file", image="gone:1")
    assert seen.lines == ["z", "file"]
    assert "No such file" in seen.err
    loaded_elsewhere = save(engine, "gone:1")
    forget_all_containers(engine)
    engine.images.remove("gone:1")
    load(engine, loaded_elsewhere)
    assert run.sh("ls -A /var/log; test -f /home && echo file", image="gone:1").lines == ["z", "file"]


def test_C1_commit_without_changes_makes_no_layer(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "true")
    commit(engine, container, "same:1", message="nothing")
    image = engine.images.inspect("same:1")
    assert image.layers == engine.images.inspect(STARTER).layers
    newest, older = engine.images.history("same:1")
    assert newest.empty
    assert (newest.size_bytes, newest.comment) == (0, "nothing")
    assert older.size_bytes > 0


def test_C1_commit_of_a_running_container_freezes_it_and_lets_it_go_on(engine: Engine, run: Runner) -> None:
    script = "i=0; while :; do i=$((i+1)); for f in a b; do echo $i > /.t; mv /.t /$f; done; done"
    container = run.background("sh", "-c", script)
    while run.exec(container, "cat", "/b").code:
        pass
    for at in range(5):
        commit(engine, container, f"frozen:{at}")
        one, other = run.sh("cat /a /b", image=f"frozen:{at}").lines
        assert int(one) - int(other) in (0, 1)
    before = run.exec(container, "cat", "/b").out
    assert run.exec(container, "sh", "-c", f"while [ $(cat /b) -lt {int(before or 0) + 5} ]; do :; done").code == 0


def test_C1_a_change_that_can_not_be_read_is_refused_before_anything_happens(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "touch /x")
    before = contents(engine)
    for line in ("FROM x", "ENV", "RUN x", "", "EXPOSE no", "LABEL a", "ONBUILD FROM x", "USER a b"):
        with pytest.raises(InvalidInput):
            commit(engine, container, "bad:1", changes=(line,))
    with pytest.raises(InvalidInput, match="invalid reference format"):
        commit(engine, container, "Bad Name")
    with pytest.raises(NotFound, match="No such container: nobody"):
        commit(engine, "nobody", "x:1")
    assert contents(engine) == before


def test_C1_large_holes_are_neither_stored_nor_lost(engine: Engine, run: Runner) -> None:
    script = (
        "truncate -s 3G /h; echo middle | dd of=/h bs=1M seek=1500 conv=notrunc; echo end >> /h; truncate -s 2G /none"
    )
    commit(engine, made(engine, run, f"{script}; truncate -s 2G /none"), "holes:1")
    archive = save(engine, "holes:1")
    assert len(archive) < 4_000_000
    forget_all_containers(engine)
    engine.images.remove("holes:1")
    load(engine, archive)
    look = "stat -c '%s %b' /h /none; dd if=/h bs=1M skip=1500 count=1 2>/dev/null | head -c 7; tail -c 4 /h"
    size, none, middle, end = run.sh(look, image="holes:1").lines
    assert size.split()[0] == str(3 * 2**30 + 4)
    assert int(size.split()[1]) < 100
    assert none == f"{2 * 2**30} 0"
    assert (middle, end) == ("middle", "end")


def test_B12_history_shows_commits_and_what_is_missing(engine: Engine, run: Runner) -> None:
    first = made(engine, run, "echo 1 > /one")
    commit(engine, first, "h:1", message="first")
    made_of_it = engine.containers.create(ContainerSpec(image="h:1", command=("sh", "-c", "echo 22 > /two"))).id
    engine.containers.start(made_of_it)
    engine.containers.wait(made_of_it)
    commit(engine, made_of_it, "h:2", message="修改了", author="me")
    rows = engine.images.history("h:2")
    assert [row.comment for row in rows][:2] == ["修改了", "first"]
    assert rows[0].created_by == "sh -c echo 22 > /two"
    assert [row.size_bytes for row in rows][:2] == [3, 2]
    assert [row.image_id for row in rows] == [engine.images.resolve(key) for key in ("h:2", "h:1", STARTER)]
    archive = save(engine, "h:2")
    for container in (made_of_it, first):
        engine.containers.remove(container)
    engine.images.remove("h:2")
    engine.images.remove("h:1")
    load(engine, archive)
    assert [bool(row.image_id) for row in engine.images.history("h:2")] == [True, False, False]


def test_C2_cp_keeps_trees_modes_links_and_owners(engine: Engine, run: Runner) -> None:
    container = run.background("sleep", "1000", mounts=(MountSpec(kind="tmpfs", target="/mem"),))
    data = tar(
        [
            directory("t", 0o750, uid=12, gid=34),
            member("t/f", b"x" * 5000, mode=0o4755, uid=12, gid=34, mtime=1000),
            symlink("t/l", "/etc/passwd"),
        ]
    )
    for place in ("/opt", "/mem"):
        run.exec(container, "mkdir", "-p", place)
        engine.containers.copy_in(container, place, [data[:700], data[700:]], archive=True)
        out = run.exec(container, "stat", "-c", "%a %u:%g %Y", f"{place}/t", f"{place}/t/f").lines
        assert out[0].startswith("750 12:34")
        assert out[1] == "4755 12:34 1000"
        back = b"".join(engine.containers.copy_out(container, f"{place}/t"))
        with tarfile.open(fileobj=io.BytesIO(back)) as archive:
            assert archive.getnames() == ["t", "t/f", "t/l"]
            assert archive.getmember("t/l").linkname == "/etc/passwd"
            found = archive.getmember("t/f")
            assert (found.mode, found.uid, found.gid, found.mtime, found.size) == (0o4755, 12, 34, 1000, 5000)
    engine.containers.copy_in(container, "/opt", [data], archive=False)
    assert run.exec(container, "stat", "-c", "%u:%g", "/opt/t/f").lines == ["0:0"]


def test_C2_cp_works_on_a_stopped_container_and_sees_its_volumes(engine: Engine, run: Runner) -> None:
    container = made(
        engine, run, "echo in > /data/f", mounts=(MountSpec(kind="volume", source="cpvol", target="/data"),)
    )
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.containers.copy_out(container, "/data/.")))) as archive:
        assert sorted(archive.getnames()) == [".", "./f"]
    engine.containers.copy_in(container, "/data", [tar([member("g", b"2")])])
    engine.containers.copy_in(container, "/", [tar([member("top", b"3")])])
    assert engine.volumes.read_file("cpvol", "/g") == b"2"
    assert engine.containers.read_file(container, "/top") == b"3"
    assert changes(engine, container) == ["A /data", "A /top"]
    engine.containers.remove(container)
    engine.volumes.remove("cpvol")


def test_C2_cp_takes_the_directory_whose_name_ends_with_dots(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "mkdir /a /a. /a...; echo wrong > /a/f; echo 1 > /a./f; echo 3 > /a.../f")
    for path, content in (("/a./.", b"1\n"), ("/a.../.", b"3\n"), ("/a./", b"1\n"), ("/a././.", b"1\n")):
        with tarfile.open(fileobj=io.BytesIO(b"".join(engine.containers.copy_out(container, path)))) as archive:
            found = next(entry for entry in archive if entry.isfile())
            taken = archive.extractfile(found)
            assert taken, path
            assert taken.read() == content, path


def test_C2_cp_names_what_is_missing_and_never_changes_kinds(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "mkdir /dir; touch /file")
    with pytest.raises(NotFound, match="no such file or directory: '/nope/x'"):
        list(engine.containers.copy_out(container, "/nope/x"))
    with pytest.raises(NotFound):
        engine.containers.stat_path(container, "/nope")
    with pytest.raises(NotFound):
        engine.containers.copy_in(container, "/nope", [tar([member("f")])])
    with pytest.raises(InvalidInput, match="not a directory"):
        engine.containers.copy_in(container, "/file", [tar([member("f")])])
    with pytest.raises(InvalidInput, match="cannot overwrite directory"):
        engine.containers.copy_in(container, "/", [tar([member("dir", b"x")])])
    with pytest.raises(InvalidInput, match="cannot overwrite non-directory"):
        engine.containers.copy_in(container, "/", [tar([directory("file")])])
    assert engine.containers.stat_path(container, "/dir").name == "dir"


def test_C2_cp_follows_links_inside_the_container_only(engine: Engine, run: Runner, tmp_path: object) -> None:
    secret = os.path.join(str(tmp_path), "secret")
    with open(secret, "w") as file:
        file.write("host")
    container = made(engine, run, f"ln -s {tmp_path} /out; ln -s ../../../../../../..{tmp_path} /up; ln -s /etc /e")
    for path in (f"/out/{os.path.basename(secret)}", f"/up/{os.path.basename(secret)}"):
        with pytest.raises(NotFound):
            engine.containers.read_file(container, path)
        with pytest.raises(NotFound):
            list(engine.containers.copy_out(container, path))
    with pytest.raises(NotFound):
        engine.containers.copy_in(container, "/out", [tar([member("evil")])])
    assert b"root:" in engine.containers.read_file(container, "/e/passwd")
    assert os.listdir(str(tmp_path)) == ["secret"]


def test_C3_export_and_import_give_the_same_tree_in_one_layer(engine: Engine, run: Runner) -> None:
    container = made(
        engine, run, "echo x > /x; chmod 2751 /x; mkdir -m 700 /p; ln -s x /l; rm -r /var/tmp; touch -d @5 /x"
    )
    exported = b"".join(engine.containers.export(container, silent, CancelToken()))
    image_id = engine.images.import_tar(
        io.BytesIO(exported), "flat:1", silent, CancelToken(), message="m", changes=['CMD ["cat","/x"]']
    )
    image = engine.images.inspect("flat:1")
    assert (image.id, len(image.layers), image.comment) == (image_id, 1, "m")
    tree = "cd / && find . -xdev ! -path './proc*' ! -path './sys*' ! -path './dev*' ! -path './etc/*' | sort"
    shape = f"{tree} | while read -r f; do stat -c '%N %a %u %g %F' \"$f\"; done; stat -c %Y /x"
    committed = commit(engine, container, "layered:1")
    assert run.sh(shape, image="flat:1").out == run.sh(shape, image=committed).out
    assert run("cat", "/x", image="flat:1").out == "x\n"


def test_C3_export_of_a_running_container_leaves_out_what_is_mounted(engine: Engine, run: Runner) -> None:
    container = run.background(
        "sh", "-c", "echo t > /mem/t; echo f > /f; sleep 1000", mounts=(MountSpec(kind="tmpfs", target="/mem"),)
    )
    while run.exec(container, "cat", "/f").code:
        pass
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(engine.containers.export(container, silent, CancelToken())))
    ) as archive:
        names = set(archive.getnames())
    assert {"f", "mem", "proc", "etc/hosts", ".dockerenv"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/", "mem/", "dev/n"))]


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive"])
def test_C4_save_and_load_carry_layers_config_and_tags_to_another_host(
    engine: Engine, run: Runner, tmp_path: object, format: str
) -> None:
    container = made(engine, run, "echo carried > /f; rm /etc/group")
    image_id = commit(engine, container, "carried:1", message="m")
    engine.images.tag("carried:1", "localhost:5000/other/name:2")
    archive = save(engine, "carried:1", "localhost:5000/other/name:2", format=format)
    assert archive == save(engine, "carried:1", "localhost:5000/other/name:2", format=format)
    from pathlib import Path

    other = open_store(Path(str(tmp_path)))
    loaded = load(other, archive)
    assert [row.reference for row in loaded] == ["carried:1", "localhost:5000/other/name:2"]
    there, here = other.images.inspect("carried:1"), engine.images.inspect("carried:1")
    assert there.id == image_id
    assert (there.raw_config, there.diff_ids, there.layers) == (here.raw_config, here.diff_ids, here.layers)
    assert other.images.read_file("carried:1", "/f") == b"carried\n"
    assert save(other, "carried:1", "localhost:5000/other/name:2", format=format) == archive


def test_C5_rmi_untags_deletes_and_refuses_in_dockers_words(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "touch /x")
    image_id = commit(engine, container, "u:1")
    short = image_id[7:19]
    engine.images.tag("u:1", "u:2")
    assert [row.untagged for row in engine.images.remove("u:2")] == ["u:2"]
    user = engine.containers.create(ContainerSpec(image="u:1", command=("true",))).id
    expected = (
        f'conflict: unable to remove repository reference "u:1" (must force) - container {user[:12]} '
        f"is using its referenced image {short}"
    )
    with pytest.raises(Conflict, match=re.escape(expected)):
        engine.images.remove("u:1")
    expected = f"conflict: unable to delete {short} (must be forced) - image is being used by stopped container"
    with pytest.raises(Conflict, match=re.escape(f"{expected} {user[:12]}")):
        engine.images.remove(image_id)
    assert engine.images.inspect("u:1").used_by == (user,)
    removed = engine.images.remove("u:1", force=True)
    assert [row.untagged or row.deleted for row in removed] == ["u:1", image_id]
    with pytest.raises(NotFound, match="No such image: u:1"):
        engine.images.remove("u:1")
    # its layers stay for the container, which still starts, and can become an image again
    engine.containers.start(user)
    assert engine.containers.wait(user) == 0
    again = commit(engine, user, "u:again")
    assert run.sh("ls /x", image=again).lines == ["/x"]
    assert save(engine, "u:again")


def test_C5_rmi_of_an_image_in_use_by_a_running_container_can_not_be_forced(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "touch /y")
    image_id = commit(engine, container, "busy:1")
    running = engine.containers.create(ContainerSpec(image="busy:1", command=("sleep", "100"))).id
    engine.containers.start(running)
    words = f"(cannot be forced) - image is being used by running container {running[:12]}"
    with pytest.raises(Conflict, match=re.escape(words)):
        engine.images.remove(image_id, force=True)
    with pytest.raises(Conflict, match="image has dependent child images"):
        engine.images.remove(engine.images.resolve(STARTER), force=True)


def test_C6_images_share_layers_and_containers_never_write_to_them(engine: Engine, run: Runner) -> None:
    def stored() -> int:
        return sum(f.stat().st_size for d in engine.roots.blobs.iterdir() for f in d.iterdir())

    def tree() -> list[tuple[str, int, int]]:
        base = engine.roots.layer(engine.images.inspect(STARTER).layers[0]) / "diff"
        return sorted((str(p.relative_to(base)), p.lstat().st_mtime_ns, p.lstat().st_size) for p in base.rglob("*"))

    before, files = stored(), tree()
    first = made(engine, run, "head -c 100000 /dev/urandom > /a; echo broken > /etc/profile; rm -rf /usr /var")
    second = made(engine, run, "head -c 200000 /dev/urandom > /b")
    one, other = commit(engine, first, "one:1"), commit(engine, second, "two:1")
    assert tree() == files
    assert engine.images.inspect(one).layers[0] == engine.images.inspect(other).layers[0]
    assert 300_000 < stored() - before < 340_000


def test_images_can_be_browsed_without_a_container(engine: Engine, run: Runner) -> None:
    container = made(engine, run, "rm /etc/group; echo new > /etc/new; ln -s /etc/new /l; mkfifo /fifo")
    commit(engine, container, "browse:1")
    names = [entry.name for entry in engine.images.list_dir("browse:1", "/etc")]
    assert "new" in names
    assert "group" not in names
    assert "hosts" not in names
    assert engine.images.read_file("browse:1", "/l") == b"new\n"
    assert engine.images.read_file("browse:1", "/etc/new", 1, 2) == b"ew"
    kinds = {entry.name: (entry.kind, entry.link) for entry in engine.images.list_dir("browse:1", "/")}
    assert kinds["l"] == ("link", "/etc/new")
    assert kinds["fifo"] == ("fifo", "")
    for path in ("/fifo", "/etc", "/dev/console"):
        with pytest.raises((InvalidInput, NotFound)):
            engine.images.read_file("browse:1", path)


def test_a_tree_deeper_than_can_be_packed_is_told(engine: Engine, run: Runner) -> None:
    container = made(
        engine, run, "i=0; while [ $i -lt 1000 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done", working_dir="/tmp"
    )
    with pytest.raises(LimitExceeded, match="too deep"):
        commit(engine, container, "deep:1")
    with pytest.raises(LimitExceeded, match="too deep"):
        engine.containers.changes(container)
    engine.containers.remove(container)


def test_A20_the_starter_image_needs_no_busybox(engine: Engine, tmp_path: object) -> None:
    """The other way of making it: this host's own programs with the libraries they load."""
    from core.images import starter

    data = b"".join(starter.archive(busybox=False))
    image = engine.images.import_tar(io.BytesIO(data), "own:1", silent, CancelToken(), changes=['CMD ["sh"]'])
    runner = Runner(engine, lambda: "")
    seen = runner.sh("ls / >/dev/null && echo a b | awk '{print $2}' && md5sum /etc/passwd && id -u", image=image)
    assert seen.code == 0, seen.err
    assert seen.lines[0] == "b"
    assert seen.lines[-1] == "0"


def test_prune_takes_dangling_images_and_keeps_what_is_used(engine: Engine, run: Runner) -> None:
    one = made(engine, run, "echo 1 > /1")
    first = commit(engine, one, "p:1")
    second = commit(engine, one, "p:1", message="again")  # the name moves: the first one dangles
    user = engine.containers.create(ContainerSpec(image=second, command=("true",))).id
    removed, freed = engine.images.prune()
    assert [row.deleted for row in removed][:1] == [first]
    assert freed > 0
    engine.images.tag(second, "p:3")
    removed, _ = engine.images.prune(all=True)
    assert removed == []
    engine.containers.remove(user)
    engine.containers.remove(one)
    removed, _ = engine.images.prune(all=True)
    assert second in [row.deleted for row in removed]
    engine.images.starter(STARTER, silent, CancelToken())
