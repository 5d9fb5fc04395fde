"""The rows of image lists and of layer lists."""

from __future__ import annotations

import pytest

from app.console.image_rows import Shares, list_rows, split_tag, tree_rows
from app.console.layer_rows import WHOLE, layer_facts, layer_rows, made_by
from core.model.image import Image, ImageConfig, ImageLayer


def image(name: str, *layers: str, tags: tuple[str, ...] | None = None) -> Image:
    return Image(
        id=f"sha256:{name}",
        tags=(name,) if tags is None else tags,
        created_ns=1,
        size_bytes=10 * len(layers),
        config=ImageConfig(),
        layers=layers,
        diff_ids=layers,
    )


IMAGES = [image("shop/api:2", "base", "a", "b"), image("shop/api:1", "base", "a"), image("web:1", "base", "c")]


def shares() -> Shares:
    known = Shares()
    known.take(IMAGES)
    for one in IMAGES:
        known.learn(one, dict.fromkeys(one.layers, 10))
    return known


def test_what_an_image_alone_has_and_what_a_repository_has_once():
    known = shares()
    assert [known.unique_bytes([one]) for one in IMAGES] == [10, 0, 10]
    assert known.unique_bytes(IMAGES[:2]) == 20  # a and b: nothing else has them
    assert known.together_bytes(IMAGES[:2]) == 30
    assert Shares().together_bytes(IMAGES) is None


def test_sizes_that_are_not_known_yet_are_no_zeros():
    known = Shares()
    known.take(IMAGES)
    assert known.unique_bytes([IMAGES[0]]) is None
    assert not known.is_known(IMAGES[0])
    known.learn(IMAGES[0], {"b": 7})  # the engine told less than it should: nobody asks for ever
    assert known.is_known(IMAGES[0])
    assert known.unique_bytes([IMAGES[0]]) == 7


def test_a_tree_has_repositories_and_their_tags():
    nameless = image("x", "base", tags=())
    rows = tree_rows([*IMAGES, nameless], {"web"}, shares())
    assert [(row.name, row.above != "") for row in rows] == [
        ("shop/api", False),
        ("2", True),
        ("1", True),
        ("web", False),
        ("<none>", False),
        ("x", True),
    ]
    assert rows[0].size_bytes == 30
    assert not rows[3].is_open
    assert rows[1].reference == "shop/api:2"
    assert len({row.key for row in rows}) == len(rows)
    assert len(list_rows(IMAGES)) == 3


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("a:1", ("a", "1")),
        ("localhost:5000/a:1", ("localhost:5000/a", "1")),
        ("localhost:5000/a", ("localhost:5000/a", "")),
        ("a@sha256:ff", ("a", "sha256:ff")),
    ],
)
def test_repository_and_tag(reference: str, parts: tuple[str, str]):
    assert split_tag(reference) == parts


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("RUN /bin/sh -c make # buildkit", "RUN make"),
        ("|1 A=b /bin/sh -c make", "RUN make"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("a\n  b\x1b[2J", "a b␛[2J"),
        ("", ""),
    ],
)
def test_the_command_that_made_a_layer_without_ceremony(said: str, shown: str):
    assert made_by(said) == shown


def test_layers_stand_from_the_top_down_with_the_whole_below():
    layers = [
        ImageLayer(
            chain_id=name, diff_id=name, blob=name, blob_bytes=1, media_type="t\x07", size_bytes=size, created_by=name
        )
        for name, size in (("low", 10), ("high", 40))
    ]
    rows = layer_rows(layers, 50, [])
    assert [(row.sign, row.words, row.share) for row in rows[:2]] == [("2", "high", 1.0), ("1", "low", 0.25)]
    assert rows[-1].key == WHOLE
    assert rows[-1].size_bytes == 50
    assert "\x07" not in str(layer_facts(layers[0], 40))
