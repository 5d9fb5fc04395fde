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
    is_open: bool = False

    @property
    def newest_ns(self) -> int:
        """When the newest of them was made."""
        return max(image.created_ns for image in self.images)

    @property
    def users(self) -> int:
        """How many containers are made from it."""
        return len({key for image in self.images for key in image.used_by})


class Shares:
    """Which layers are whose, and how large those are whose size has been learned."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._owners: Counter[str] = Counter()
        self._images: Sequence[Image] = ()

    def take(self, images: Sequence[Image]) -> None:
        """Count anew, if these are other images than before."""
        if images is not self._images:
            self._images = images
            self._owners = Counter(chain for image in images for chain in set(image.layers))

    def learn(self, image: Image, sizes: Mapping[str, int]) -> None:
        """The sizes of an image's layers by chain id; one that was not told counts as empty."""
        self._sizes |= dict.fromkeys(image.layers, 0) | dict(sizes)

    def unique_bytes(self, images: Sequence[Image]) -> int | None:
        """Of layers that nothing but these images has; None while their sizes are not known."""
        mine = Counter(chain for image in images for chain in set(image.layers))
        alone = [chain for chain, count in mine.items() if self._owners[chain] == count]
        if any(chain not in self._sizes for chain in alone):
            return None
        return sum(self._sizes[chain] for chain in alone)

    def together_bytes(self, images: Sequence[Image]) -> int | None:
        """Of all layers of some images, each counted once; None while that is not known."""
        chains = {chain for image in images for chain in image.layers}
        return None if chains - self._sizes.keys() else sum(self._sizes[chain] for chain in chains)

    def is_known(self, image: Image) -> bool:
        """Whether the sizes of all its layers are known."""
        return all(chain in self._sizes for chain in image.layers)


def list_rows(images: Sequence[Image]) -> list[ImageRow]:
    """One row an image."""
    return [
        ImageRow(
            key=image.id,
            name=image_name(image),
            reference=image_name(image),
            image=image,
            images=(image,),
            size_bytes=image.size_bytes,
        )
        for image in images
    ]


def tree_rows(images: Sequence[Image], folded: Collection[str], shares: Shares) -> list[ImageRow]:
    """Repositories by name, the tags of each that is not folded below it, newest first.

    A repository's size counts a layer that its images share once, as soon as the layers' sizes are known.
    """
    repositories: dict[str, list[tuple[str, Image]]] = {}
    for image in images:
        for reference in image.tags or (image.id,):
            repository, tag = split_tag(reference) if image.tags else (NO_NAME, image_name(image))
            repositories.setdefault(repository, []).append((tag, image))
    rows: list[ImageRow] = []
    for repository, tagged in sorted(repositories.items(), key=lambda one: (one[0] == NO_NAME, one[0])):
        mine = tuple({image.id: image for _tag, image in tagged}.values())
        key = f"repository {repository}"
        together = shares.together_bytes(mine)
        rows.append(
            ImageRow(
                key=key,
                name=repository,
                images=mine,
                size_bytes=together if together is not None else max(one.size_bytes for one in mine),
                is_open=repository not in folded,
            )
        )
        for tag, image in tagged if repository not in folded else ():
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
                )
            )
    return rows


def split_tag(reference: str) -> tuple[str, str]:
    """A familiar reference as repository and tag (or digest)."""
    sign = "@" if "@" in reference else ":"
    repository, _, tag = reference.rpartition(sign)
    return (repository, tag) if repository and "/" not in tag else (reference, "")
