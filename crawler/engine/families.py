"""What of a region waits to be listed, as families: the lists that one other list has brought to light. Pure.

The images of all registries are one family, the tags of one registry's images another. The deepest come first, and of
those the oldest, so that a registry's family is begun and finished before many other registries are begun: things that
belong together are read close together, and what waits are the names of a few families. But only by turns with the
next one, so that the largest registry does not hold the others up.
Costs: O(families that wait) where one begins or ends; there are a few for each level.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from crawler.core.collection import Collection

LISTS_A_TURN = (8, 2)
"""Lists of the first family that are begun, and then of the next one."""
_TURN = sum(LISTS_A_TURN)


class Family(Struct, eq=False):
    """The lists of one kind that stand within the same names.

    Attributes:
        collection: what each of them lists.
        within: what all of them are within; a name more makes each.
        age: how many families were there before it in its region.
        names: those that wait, as texts only, so that 200,000 cost little.
        under_way: how many were begun and are not over.
        is_open: the list that names them is not over, so that more may come.
        is_held: none of them is begun before `Families.release`.
    """

    collection: Collection
    within: tuple[str, ...]
    age: int
    names: deque[str]
    under_way: int = 0
    is_open: bool = False
    is_held: bool = False

    @property
    def is_over(self) -> bool:
        """Every one of its lists came to an end, and none will come."""
        return not (self.names or self.under_way or self.is_open or self.is_held)

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands among the others: the deepest first, then the oldest."""
        return -len(self.within), self.age


class Families:
    """The families of one region.

    Mutable state: those that are not over, those of them in which a list waits, in order, those that are held, and
    whose turn it is.
    """

    def __init__(self) -> None:
        self._tops: deque[Collection] = deque()
        self._families: dict[tuple[str, ...], Family] = {}
        self._waiting: list[Family] = []
        self._held: list[Family] = []
        self._made = self._begun = 0

    @property
    def counts(self) -> Counter[Collection]:
        """How many lists of each kind wait. O(families that wait)."""
        counts = Counter(self._tops)
        for family in (*self._waiting, *self._held):
            counts[family.collection] += len(family.names)
        return counts

    def __len__(self) -> int:
        """Return how many lists wait. O(families that wait)."""
        return self.counts.total()

    def __bool__(self) -> bool:
        return bool(self._tops or self._waiting or self._held)

    def expect_top(self, collection: Collection) -> None:
        """Take in that a list that is within nothing is to be begun: that of the region's registries."""
        self._tops.append(collection)

    def expect(
        self,
        collection: Collection,
        within: tuple[str, ...],
        names: Iterable[str],
        *,
        is_open: bool,
        is_held: bool = False,
    ) -> None:
        """Take in that a list is to be begun for each of ``names``.

        Args:
            collection: what these lists hold.
            within: what all of them are within, beside their names.
            names: one a list.
            is_open: whether the list that names them is not over; `end` tells when it is.
            is_held: whether none of them may begin before `release`; said once, with the first of them.
        """
        family = self._families.get(within)
        if family is None:
            family = self._families[within] = Family(collection, within, self._made, deque(), is_held=is_held)
            self._made += 1
            if is_held:
                self._held.append(family)
        family.is_open = is_open
        had_none = not family.names
        family.names.extend(names)
        if had_none:
            self._let_wait(family)

    def release(self, within: tuple[str, ...], without: Container[str] = ()) -> None:
        """Let the lists begin that are held within these names, if any are, but for those that are done already."""
        family = self._families.get(within)
        if family is None or not family.is_held:
            return
        self._held.remove(family)
        family.is_held = False
        family.names = deque(name for name in family.names if name not in without)
        self._let_wait(family)
        if family.is_over:
            del self._families[within]

    def release_all(self) -> None:
        """Let everything begin that is held."""
        for family in list(self._held):
            self.release(family.within)

    def _let_wait(self, family: Family) -> None:
        if family.names and not family.is_held:
            insort(self._waiting, family, key=lambda one: one.order)

    def begin(self) -> tuple[Collection, tuple[str, ...]] | None:
        """Return what to list next, and count it as under way; None if nothing waits."""
        if self._tops:
            return self._tops.popleft(), ()
        if not self._waiting:
            return None
        at = int(len(self._waiting) > 1 and self._begun % _TURN >= LISTS_A_TURN[0])
        family = self._waiting[at]
        name = family.names.popleft()
        if not family.names:
            del self._waiting[at]
        family.under_way += 1
        self._begun += 1
        return family.collection, (*family.within, name)

    def end(self, within: tuple[str, ...]) -> list[Family]:
        """Take in that the list within these names is over; return the families that are over by that."""
        own, children = self._families.get(within[:-1]) if within else None, self._families.get(within)
        if own is not None:
            own.under_way -= 1
        if children is not None:
            children.is_open = False
        over = [family for family in (own, children) if family is not None and family.is_over]
        for family in over:
            del self._families[family.within]
        return over
