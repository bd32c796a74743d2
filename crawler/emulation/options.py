"""Every switch of the emulator, as one frozen type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from crawler.api.zones import ZONES

if TYPE_CHECKING:
    from collections.abc import Mapping

Sort = Literal["name", "updated", "random"]
Oversize = Literal["clamp", "refuse"]
Count = Literal["images", "registries", "null", "wrong"]
PastEnd = Literal["empty", "404"]
Version = Literal["v2", "v3"]
Envelope = Literal["top", "inner", "none"]
UserType = Literal["Customer", "Sub", "Role"]
Fault = Literal[
    "500",
    "502",
    "503",
    "504",
    "429",
    "reset",
    "truncate",
    "stall",
    "drop-kept-alive",
    "html",
    "empty",
    "garbage",
    "error-body",
]

FAULTS: tuple[Fault, ...] = get_args(Fault)
REGIONS = ZONES["public"].regions


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """What the emulated account holds and how its gateway behaves; `ncrawl emulator --help` explains each.

    Attributes:
        api: version of the API.
        envelope: of version 3: where the totals of a list stand, if anywhere.
        list_name: of version 3: what the array of records is called.
        port: of 127.0.0.1; 0 takes any free one. Version 3 has one a region: this and those after it.
        seed: the same seed is the same world, keys, faults and changes.
        accounts: how many; each is another world with keys of its own: those of ``seed`` and the numbers after it.
        registries: in each region.
        images: in all regions together, shared out heavy-tailed.
        sort: order of the image lists; ``random`` is a fresh order of every list on each request.
        change_rate: mean changes to a registry after each page served of it.
        registry_change_rate: mean registries created or deleted after each page served of a registry list.
        tag_change_rate: mean tags pushed, moved or deleted after each page served of a tag list.
        latency_ms: before every answer.
        jitter_ms: the latency varies by this much, up and down.
        region_latency_ms: region code to latency, in place of ``latency_ms``.
        rate_limit: requests in any one second, at one port; beyond, 429/410. None is unlimited.
        retry_after: sent as it is, sense or nonsense, with each 429/410; None sends no such header.
        quota: requests answered before 429/400 for good; None is unlimited.
        default_page_size: where no ``pagesize`` is asked for.
        max_page_size: largest page given; version 3 gives 1,000, whatever this says.
        oversize: what asking for more does: a smaller page, or 400/100; version 3 always refuses.
        count: what ``count`` on an image list means; ``null`` and ``wrong`` go for registry lists, too.
        past_end: what a page past the end answers.
        faults: kind to probability a request; together 1 at most.
        denied: registries a region that answer 401/210.
        gone: registries a region that are deleted when their images are asked for: 404/300.
        hidden: registries a region that answer 404/300 and stay listed.
        next_loop: registries a region whose last page says that page 1 is next.
        user_type: whose the key is: a main account's, a sub account's, or a role's.
        date_header: whether answers carry ``Date``.
        clock_skew_s: how far the gateway's clock is ahead of ours.
    """

    api: Version = "v2"
    envelope: Envelope = "inner"
    list_name: str = "content"
    port: int = 0
    seed: int = 1
    accounts: int = 1
    registries: int = 40
    images: int = 3000
    sort: Sort = "name"
    change_rate: float = 0
    registry_change_rate: float = 0
    tag_change_rate: float = 0
    latency_ms: float = 0
    jitter_ms: float = 0
    region_latency_ms: Mapping[str, float] = field(default_factory=dict)
    rate_limit: int | None = None
    retry_after: float | str | None = None
    quota: int | None = None
    default_page_size: int = 20
    max_page_size: int = 100
    oversize: Oversize = "clamp"
    count: Count = "images"
    past_end: PastEnd = "empty"
    faults: Mapping[Fault, float] = field(default_factory=dict)
    denied: int = 0
    gone: int = 0
    hidden: int = 0
    next_loop: int = 0
    user_type: UserType = "Sub"
    date_header: bool = True
    clock_skew_s: float = 0
