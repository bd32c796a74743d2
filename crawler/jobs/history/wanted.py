"""What a history is asked of: one registry, image or tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crawler.api.collections import IMAGES, REGISTRIES, TAGS
from crawler.core.errors import UsageError
from crawler.core.text import visible

if TYPE_CHECKING:
    from crawler.api.collections import Collection


class Wanted(NamedTuple):
    """A registry; with ``image`` an image of it, with ``tag`` a tag of that."""

    region: str
    registry: str
    image: str | None = None
    tag: str | None = None

    @property
    def collection(self) -> Collection:
        """What it is one of."""
        return REGISTRIES if self.image is None else IMAGES if self.tag is None else TAGS

    @property
    def rest(self) -> tuple[str, ...]:
        """What tells it from all others of its registry, in the order of sorting."""
        return tuple(name for name in (self.image, self.tag) if name is not None)

    @property
    def as_tag(self) -> Wanted | None:
        """The tag that an image's name may end with, after its last slash."""
        image, slash, tag = (self.image or "").rpartition("/")
        return self._replace(image=image, tag=tag) if slash and image and tag and self.tag is None else None

    def __str__(self) -> str:
        """Return it as users write it."""
        image = f"/{self.image}" if self.image else ""
        tag = f":{self.tag}" if self.tag else ""
        return visible(f"{self.region}/{self.registry}{image}{tag}")


def parse(text: str, tag: str | None = None) -> Wanted:
    """Read ``region/registry`` or ``region/registry/image``, where the image may hold slashes, or end with a tag.

    Raises:
        UsageError: it is neither, or a tag is asked for of no image.
    """
    region, _, rest = text.partition("/")
    registry, slash, image = rest.partition("/")
    if not (region and registry) or (slash and not image):
        raise UsageError(
            f"{visible(text, 60) or repr(text)}: name REGION/REGISTRY or REGION/REGISTRY/IMAGE, such as kr/team-a/app"
        )
    if tag is not None and not (image and tag):
        raise UsageError("--tag goes with an image: REGION/REGISTRY/IMAGE --tag TAG")
    return Wanted(region, registry, image or None, tag)
