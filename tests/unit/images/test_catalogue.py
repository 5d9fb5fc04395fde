"""A list of many images reads what has changed, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import CorruptDocument
from core.images import catalogue, store
from core.images.catalogue import Catalogue
from core.images.store import ImageRecord, ImageStore
from core.model.image import Image, ImageConfig
from core.model.reference import parse_reference
from core.state.paths import Roots, open_roots

MANY = 40


def image_id(number: int) -> str:
    return f"sha256:{number:064x}"


def put(images: ImageStore, number: int, *names: str) -> None:
    images.put(ImageRecord(id=image_id(number), config_bytes=1, layers=()), [parse_reference(name) for name in names])


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """Forty images whose documents were written long ago."""
    roots = open_roots(tmp_path / "data", tmp_path / "run")
    images = ImageStore(roots)
    for number in range(MANY):
        put(images, number, f"name{number}:1")
    for directory in (roots.images, roots.refs):
        for path in directory.iterdir():
            os.utime(path, ns=(10**18, 10**18))
    return roots


class Making:
    """Makes images of records, and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, record: ImageRecord) -> Image:
        self.made.append(record.id)
        return Image(id=record.id, tags=(), created_ns=0, size_bytes=0, config=ImageConfig(), layers=(), diff_ids=())


def opened(roots: Roots) -> tuple[Catalogue, Making]:
    making = Making()
    return Catalogue(roots, ImageStore(roots), making), making


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []
    real = store.read_struct

    def counting(path, kind, struct):
        seen.append(path)
        return real(path, kind, struct)

    monkeypatch.setattr(store, "read_struct", counting)
    return seen


def test_a_second_list_reads_nothing_nor_does_the_next_engine(roots: Roots, reads: list[Path]) -> None:
    first, making = opened(roots)
    listed = first.read()
    assert len(making.made) == MANY
    assert len(listed[0]) == MANY
    assert listed[1].tags[image_id(3)] == ("name3:1",)
    reads.clear()
    assert first.read() == listed
    another, making = opened(roots)
    images, names = another.read()
    assert (sorted(image.id for image in images), names) == (sorted(image.id for image in listed[0]), listed[1])
    assert (making.made, reads) == ([], [])


def test_what_comes_goes_or_changes_is_seen_at_once(roots: Roots) -> None:
    opened(roots)[0].read()
    listing, _ = opened(roots)  # begins with the index
    listing.read()
    images = ImageStore(roots)
    put(images, 100, "new:1", "new:2", f"new@sha256:{7:064x}")
    images.set_reference(parse_reference("name0:1"), image_id(1))
    images.drop_reference(parse_reference("name2:1").canonical, image_id(2))
    images.forget_unnamed(image_id(2))
    found, (names, digests) = listing.read()
    assert names[image_id(100)] == ("new:1", "new:2")
    assert names[image_id(1)] == ("name0:1", "name1:1")
    assert image_id(0) not in names
    assert digests == {image_id(100): (f"new@sha256:{7:064x}",)}
    assert listing.names() == (names, digests)
    assert {image.id for image in found} == {image_id(n) for n in (*range(MANY), 100)} - {image_id(2)}


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(roots: Roots) -> None:
    listing, _ = opened(roots)
    images = ImageStore(roots)
    for number in range(10):
        images.set_reference(parse_reference("moving:1"), image_id(number))
        assert "moving:1" in listing.read()[1].tags[image_id(number)]


def test_a_damaged_record_leaves_the_others_in_the_list(roots: Roots) -> None:
    roots.image(image_id(5)).write_text("{")
    listing, _ = opened(roots)
    assert len(listing.read()[0]) == MANY - 1
    with pytest.raises(CorruptDocument):
        ImageStore(roots).get(image_id(5))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1garbage", b"\x93\xa1x\x80\x80"])
def test_an_index_that_is_none_is_made_anew(roots: Roots, data: bytes) -> None:
    (roots.run / "images.index").write_bytes(data)
    assert len(opened(roots)[0].read()[0]) == MANY
    listing, making = opened(roots)
    assert len(listing.read()[0]) == MANY
    assert making.made == []


def test_an_index_of_another_program_is_not_believed(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_LAYOUT", "something else")
    opened(roots)[0].read()
    monkeypatch.undo()
    listing, making = opened(roots)
    listing.read()
    assert len(making.made) == MANY
