"""The rows of the image list: one an image, or its repositories with their tags below. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from app.console.image_facts import image_name
from core.model.image import Image

NO_NAME = "<none>"


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """An image, one of its tags, or a repository with all of its images."""

    key: str
    above: str = ""
    """Key of the repository's row, in a tree."""
    name: str
    """As the list shows it; not made safe yet."""
    reference: str = ""
    """What commands call it: a name, or an id where there is none; empty for a repository."""
    image: Image | None = None
    """None: a repository."""
    images: tuple[Image, ...]
    size_bytes: int
    unique_bytes: int | None = None
    """Of layers that no other image here has; None while that is not known."""
    is_open: bool = False

    @property
    def newest_ns(self) -> int:
        """When the newest of them was made."""
        return max(image.created_ns for image in self.images)

    @property
    def users(self) -> int:
        """How many containers are made from it."""
        return len({key for image in self.images for key in image.used_by})


def list_rows(images: Sequence[Image], sizes: Mapping[str, int]) -> list[ImageRow]:
    """One row an image. sizes: of layers by chain id, as far as they are known."""
    there = _owners(images)
    return [
        ImageRow(
            key=image.id,
            name=image_name(image),
            reference=image_name(image),
            image=image,
            images=(image,),
            size_bytes=image.size_bytes,
            unique_bytes=_unique([image], there, sizes),
        )
        for image in images
    ]


def tree_rows(images: Sequence[Image], sizes: Mapping[str, int], closed: Collection[str]) -> list[ImageRow]:
    """Repositories by name, the tags of each that is not closed below it, newest first.

    A repository's size counts a layer that its images share once, as far as the layers' sizes are known.
    """
    there = _owners(images)
    repositories: dict[str, list[tuple[str, Image]]] = {}
    for image in images:
        for reference in image.tags or (image.id,):
            repository, tag = split_tag(reference) if image.tags else (NO_NAME, image_name(image))
            repositories.setdefault(repository, []).append((tag, image))
    rows: list[ImageRow] = []
    for repository, tagged in sorted(repositories.items(), key=lambda one: (one[0] == NO_NAME, one[0])):
        mine = tuple({image.id: image for _tag, image in tagged}.values())
        chains = {chain for image in mine for chain in image.layers}
        known = chains <= sizes.keys()
        key = f"repository {repository}"
        rows.append(
            ImageRow(
                key=key,
                name=repository,
                images=mine,
                size_bytes=sum(sizes[chain] for chain in chains) if known else max(one.size_bytes for one in mine),
                unique_bytes=_unique(mine, there, sizes),
                is_open=repository not in closed,
            )
        )
        for tag, image in tagged if repository not in closed else ():
            reference = f"{repository}:{tag}" if repository != NO_NAME else image_name(image)
            rows.append(
                ImageRow(
                    key=f"{image.id} {reference}",
                    above=key,
                    name=tag,
                    reference=reference,
                    image=image,
                    images=(image,),
                    size_bytes=image.size_bytes,
                    unique_bytes=_unique([image], there, sizes),
                )
            )
    return rows


def split_tag(reference: str) -> tuple[str, str]:
    """A familiar reference as repository and tag (or digest)."""
    sign = "@" if "@" in reference else ":"
    repository, _, tag = reference.rpartition(sign)
    return (repository, tag) if repository and "/" not in tag else (reference, "")


def unknown_layers(images: Sequence[Image], sizes: Mapping[str, int]) -> list[Image]:
    """The fewest images, more or less, whose layers have to be asked for until all sizes are known."""
    asked: set[str] = set()
    found: list[Image] = []
    for image in sorted(images, key=lambda one: -len(one.layers)):
        if any(chain not in sizes and chain not in asked for chain in image.layers):
            found.append(image)
            asked.update(image.layers)
    return found


def _owners(images: Sequence[Image]) -> Counter[str]:
    return Counter(chain for image in images for chain in set(image.layers))


def _unique(mine: Sequence[Image], there: Counter[str], sizes: Mapping[str, int]) -> int | None:
    own = Counter(chain for image in mine for chain in set(image.layers))
    alone = [chain for chain, count in own.items() if there[chain] == count]
    if not all(chain in sizes for chain in alone):
        return None
    return sum(sizes[chain] for chain in alone)
