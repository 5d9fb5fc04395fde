"""What the console works out of a pull's reports and of a registry's answers."""

from __future__ import annotations

import pytest

from app.console.jobs import Job
from app.console.layer_progress import LayersTogether
from app.console.manifest_lines import layer_lines, raw_lines, summary_lines
from app.registry_facts import Deletion, blobs_of, collection_note, known_servers, platforms_of, speakable
from core.model.image import Image, ImageConfig
from core.model.progress import Progress
from core.model.registry import RemoteLayer, RemoteManifest

MIB = 1024 * 1024


def report(part: str, status: str, done: int = 0, total: int | None = None) -> Progress:
    return Progress(what="x", done_bytes=done, total_bytes=total, part=part, status=status)


def test_layers_come_in_the_order_they_were_first_spoken_of_and_add_up():
    together = LayersTogether()
    assert not together
    assert together.share() is None
    for one in (
        report("a", "Pulling fs layer"),
        report("b", "Already exists"),
        report("a", "Downloading", 10 * MIB, 40 * MIB),
        report("c", "Waiting"),
    ):
        together.take(one)
    assert [layer.part for layer in together.each()] == ["a", "b", "c"]
    assert together.share() == 0.25
    assert together.figures().startswith("1 of 3 layers  10M of 40M")
    together.take(report("a", "Download complete", 40 * MIB, 40 * MIB))
    together.take(report("a", "Extracting", 3 * MIB))
    layer = together.each()[0]
    assert layer.total_bytes == 40 * MIB, "a size once known stays known"
    assert not layer.is_over
    together.take(report("a", "Pull complete"))
    assert layer.is_over
    assert layer.share() == 1.0
    assert layer.figures() == "40M"


@pytest.mark.parametrize("status", ["Pushed", "Layer already exists", "Mounted from shop/api", "Copied"])
def test_a_layer_is_over_in_each_of_dockers_words(status: str):
    together = LayersTogether()
    together.take(report("a", status))
    assert together.each()[0].is_over
    assert together.share() == 1.0


def test_a_job_with_layers_shows_them_together_and_its_own_line_apart():
    job = Job("pull x", "wharf pull x")
    job.report(Progress(what="x", done_bytes=0, status="latest: Pulling from library/\x1b[2Jx"))
    job.report(report("a", "Downloading", 1, 4))
    assert job.share() == 0.25
    assert job.figures().startswith("0 of 1 layer")
    assert job.step() == "latest: Pulling from library/␛[2Jx"


def manifest(**fields: object) -> RemoteManifest:
    given: dict[str, object] = {"reference": "x", "digest": "sha256:" + "d" * 64, "media_type": "application/x.oci.v1"}
    return RemoteManifest(**(given | fields))  # type: ignore[arg-type]


def layer(letter: str, size: int) -> RemoteLayer:
    return RemoteLayer(digest="sha256:" + letter * 64, size_bytes=size, media_type="a.tar+gzip")


def text(lines: object) -> str:
    return "\n".join("".join(piece for piece, _tone in line) for line in lines)  # type: ignore[attr-defined]


def test_an_index_is_its_images_and_attestations_are_no_platform():
    images = (
        manifest(platform="linux/amd64", layers=(layer("1", 10), layer("2", 20))),
        manifest(platform="linux/arm64", layers=(layer("1", 10), layer("3", 30))),
        manifest(platform="unknown/unknown"),
    )
    index = manifest(images=images)
    assert platforms_of(index) == "linux/amd64, linux/arm64"
    assert sum(blobs_of(index).values()) == 60
    assert "index of several images, OCI format" in text(summary_lines(index))
    assert text(layer_lines(index)).count("▸") == 3


def test_ST10_what_a_manifest_says_drives_nothing():
    hostile = manifest(platform="\x1b[2J", media_type="\x1b]0;x\x07", layers=(layer("1", 1),), raw=b"\x1b[2J{not json")
    assert "\x1b" not in text([*summary_lines(hostile), *layer_lines(hostile), *raw_lines(hostile)])
    assert text(raw_lines(hostile)) == "␛[2J{not json"
    assert text(raw_lines(manifest(raw=b"[" * 100_000))).startswith("[[[")


def test_servers_are_known_from_logins_settings_and_names_of_images():
    image = Image(
        id="x",
        tags=("busybox:1", "a.io/x:1", "a.io/x:2"),
        digests=("a.io/x@sha256:" + "a" * 64, "a.io/y@sha256:" + "a" * 64),
        created_ns=0,
        size_bytes=0,
        config=ImageConfig(),
        layers=(),
        diff_ids=(),
    )
    found = known_servers(["b.io", "a.io"], ["https://mirror.io"], ["c.io:5000", "10.0.0.0/8"], [image])
    assert [(one.host, ", ".join(one.because)) for one in found] == [
        ("docker.io", "1 name of images"),
        ("a.io", "login, 2 names of images"),
        ("b.io", "login"),
        ("c.io:5000", "insecure"),
        ("mirror.io", "mirror of docker.io"),
    ]


def test_names_that_nobody_can_ask_for_are_left_out():
    assert speakable("a.io/", ["x", "x/y", "UPPER", "\x1b[2J", "", "../x"]) == ["x", "x/y"]
    assert speakable("a.io/x:", ["1", "-1", "a b", "latest", "x" * 129]) == ["1", "latest"]


def test_what_a_deletion_leaves_is_said():
    assert collection_note(Deletion("d", (), 2, 3), "3B").startswith("2 layers, 3B, stay on the registry's disk")
    assert collection_note(Deletion("d", (), 1, 3), "3B").startswith("1 layer, 3B, stays on")
    assert "nothing is freed" in collection_note(Deletion("d", (), 0, 0), "0B")
