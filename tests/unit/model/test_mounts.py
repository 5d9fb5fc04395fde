"""-v, --mount and --tmpfs."""

import pytest

from core.errors import InvalidInput
from core.model.mounts import MountSpec, parse_mount, parse_tmpfs, parse_volume


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("/data", MountSpec(kind="volume", target="/data")),
        ("name:/data", MountSpec(kind="volume", source="name", target="/data")),
        ("name:/data:ro,nocopy", MountSpec(kind="volume", source="name", target="/data", read_only=True, no_copy=True)),
        ("/h:/i", MountSpec(kind="bind", source="/h", target="/i", create_source=True)),
        ("/h:/i:rw", MountSpec(kind="bind", source="/h", target="/i", create_source=True)),
        (
            "/h/../x:/i/./../j/:ro,rslave",
            MountSpec(kind="bind", source="/x", target="/j", read_only=True, create_source=True, propagation="rslave"),
        ),
        ("./x:/i", MountSpec(kind="bind", source="/cwd/x", target="/i", create_source=True)),
        ("/:/rootfs:ro", MountSpec(kind="bind", source="/", target="/rootfs", read_only=True, create_source=True)),
    ],
)
def test_F1_volumes_are_read(text, spec):
    assert parse_volume(text, cwd="/cwd") == spec


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (":/x", "empty section between colons"),
        ("", "empty section between colons"),
        ("a:/x:zz", "invalid mode: zz"),
        ("/:rootfs:ro", "invalid mount path: 'rootfs' mount path must be absolute"),
        ("/", "destination can't be '/'"),
        ("/a:/x/..", "destination can't be '/'"),
        ("a/b:/x", "includes invalid characters for a local volume name"),
        ("../x:/y:/z:ro", "invalid volume specification"),
        ("x:/y", "includes invalid characters"),  # one letter is too short for a name
    ],
)
def test_F1_wrong_volumes_are_refused_in_dockers_words(text, part):
    with pytest.raises(InvalidInput) as refusal:
        parse_volume(text)
    assert part in str(refusal.value)


def test_F1_mount_fields():
    assert parse_mount("type=bind,src=/h,dst=/i,readonly") == MountSpec(
        kind="bind", source="/h", target="/i", read_only=True, given_by="--mount"
    )
    assert parse_mount("source=vol,target=/i,volume-nocopy=true,ro=false") == MountSpec(
        kind="volume", source="vol", target="/i", no_copy=True, given_by="--mount"
    )
    assert parse_mount("type=tmpfs,destination=/i,tmpfs-size=64m,tmpfs-mode=1770") == MountSpec(
        kind="tmpfs", target="/i", options=("size=67108864", "mode=1770"), given_by="--mount"
    )
    for wrong in (
        "foo",
        "type=zz,dst=/x",
        "type=bind,src=/x",
        "type=bind,src=rel,dst=/x",
        "type=tmpfs,src=/x,dst=/y",
        "foo=bar,dst=/x",
        "type=bind,src=/x,dst=/y,bind-propagation=zz",
        "src=vol,dst=/x,volume-driver=nfs",
        "dst=/x,ro=maybe",
    ):
        with pytest.raises(InvalidInput):
            parse_mount(wrong)


def test_how_mounts_below_a_bind_are_taken_along():
    base = "type=bind,src=/h,dst=/i,readonly"
    assert parse_mount(f"{base},bind-recursive=enabled").recursive == ""
    assert parse_mount(f"{base},bind-nonrecursive").recursive == "disabled"
    assert parse_mount(f"{base},bind-recursive=writable").recursive == "writable"
    assert parse_mount("src=vol,dst=/i,volume-label=a=b,volume-label=c").labels == {"a": "b", "c": ""}
    for wrong in (
        "type=bind,src=/h,dst=/i,bind-recursive=readonly",
        "type=bind,src=/h,dst=/i,bind-recursive=odd",
        "type=bind,src=/h,dst=/i,volume-nocopy",
        "type=tmpfs,dst=/i,bind-propagation=rslave",
        "type=tmpfs,dst=/i,tmpfs-size=odd",
        "type=tmpfs,dst=/i,tmpfs-mode=999",
        "type=image,dst=/i",
        "type=volume,src=x,dst=/i,image-subpath=a",
        "type=volume,src=x,dst=/i,volume-subpath=../a",
        "type=volume,src=x,dst=/i,volume-subpath=/a",
        "type=volume,src=x,dst=/i,volume-driver=nfs",
        "type=volume,src=x,dst=/i,volume-opt=odd=1",
    ):
        with pytest.raises(InvalidInput):
            parse_mount(wrong)


def test_SF11_tmpfs_options():
    assert parse_tmpfs("/run:rw,noexec,nosuid,size=65536k") == MountSpec(
        kind="tmpfs", target="/run", options=("rw", "noexec", "nosuid", "size=65536k"), given_by="--tmpfs"
    )
    assert parse_tmpfs("/run").options == ()
    for wrong in ("rel", "/run:foo", "/run:size", "/run:noexec=1", "/run:size=", "/"):
        with pytest.raises(InvalidInput):
            parse_tmpfs(wrong)
