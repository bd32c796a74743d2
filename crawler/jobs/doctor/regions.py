"""Each region: whether its registries and one list of images may be read, and what its gateway does."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from crawler.api.identity import VIEWER_POLICY
from crawler.core.errors import GatewayError, NetworkError, PageError
from crawler.core.patterns import Patterns
from crawler.engine.page_size import LARGEST, SMALL
from crawler.engine.retry_policy import Action
from crawler.jobs.doctor.checks import REFUSED, SOMETHING_MISSING, failed, ok, skipped, warning
from crawler.jobs.doctor.keys import is_refusal, lasting_action

if TYPE_CHECKING:
    from crawler.core.errors import RequestError
    from crawler.core.model import Page, Region
    from crawler.jobs.doctor.checks import Check
    from crawler.jobs.doctor.gateway import Answer
    from crawler.settings.table import Settings

_NOT_THE_GATEWAY = "something else answers, a proxy, a login page or maintenance: see what `curl -v` to it says"
_OUT_OF_ORDER = "try again later: a run asks ten times, then holds the region and probes it until --deadline"


def of_registries(region: Region, answer: Answer, *, whose: str) -> Check:
    """Return what became of a region's list of registries."""
    name = f"region/{region.code}"
    if answer.page is None:
        assert answer.error is not None
        return _failed(name, answer.error, whose)
    detail = "; ".join(_described(answer, answer.page, "registries"))
    given = _given(answer, answer.page)
    if given is not None and given < SMALL:
        times = ceil(LARGEST / given)
        mend = f"reckon with up to {times} times the requests: pages of {LARGEST:,} prove most lists by one"
        return warning(name, detail, mend)
    return ok(name, detail)


def of_images(region: Region, registry: str, answer: Answer, *, whose: str) -> Check:
    """Return what became of one list of images."""
    name = f"region/{region.code}/images"
    if answer.page is None:
        assert answer.error is not None
        if lasting_action(answer.error, answer.dialect) is Action.NOT_FOUND:
            mend = f"its list still names it: deleted just now, or no permission ({VIEWER_POLICY})"
            return failed(name, f"{registry}: {answer.error}", mend)
        return _failed(name, answer.error, whose, what=f"{registry}: ")
    return ok(name, f"{registry}: " + "; ".join(_described(answer, answer.page, "images")))


def no_images(region: Region, why: str) -> Check:
    """Return why no list of images was looked at."""
    return skipped(f"region/{region.code}/images", why)


def sample_of(settings: Settings, region: Region, page: Page) -> str | None:
    """Return a registry to look into: the first that is neither excluded nor an expected gap."""
    passed_over = Patterns((*settings.exclude, *settings.expect_gap))
    return next((name for name in page.names if not passed_over.match(region.code, name)), None)


def _failed(name: str, error: RequestError, whose: str, *, what: str = "") -> Check:
    """Return why a list could not be had: the key, a permission, the quota, or whoever answers."""
    action, code = lasting_action(error), SOMETHING_MISSING
    if is_refusal(error):
        mend, code = "see key/accepted and clock", REFUSED
    elif action is Action.STOP_QUOTA:
        mend, code = "the account's quota is used up: wait until it is renewed, or ask the provider for more", REFUSED
    elif action is Action.DENIED:
        mend = (
            f"a permission is missing, the key is not why: give {whose} the policy {VIEWER_POLICY}, for this region too"
        )
    elif action is Action.SLOW_DOWN:
        mend = "something else uses this account's share: lower --rate, or run at another time"
    elif action is Action.BAD_REQUEST:
        mend = "leave --page-size out: auto finds what is given"
    elif isinstance(error, PageError) or (isinstance(error, GatewayError) and not error.code):
        mend = _NOT_THE_GATEWAY
    elif isinstance(error, NetworkError):
        mend = f"a connection comes about, but no answer: {_OUT_OF_ORDER}"
    else:
        mend = _OUT_OF_ORDER
    return failed(name, f"{what}{error}", mend, exit_code=code)


def _described(answer: Answer, page: Page, what: str) -> list[str]:
    """Return how many there are, how large a page is, in which order, what ``count`` means, and the trace."""
    found = len(page.names)
    said = [f"{found:,} {what}{' on page 1, more follow' if page.next is not None else ''}"]
    given = _given(answer, page)
    if given is not None:
        said.append(f"pages of {given:,} where {max((answer.asked, *answer.refused)):,} were asked for")
    if found > 1:
        said.append("in the order of their names" if page.names == sorted(page.names) else "in no order of names")
    said.append(_count(page, what))
    if answer.heard.trace:
        said.append(answer.heard.trace)
    return said


def _given(answer: Answer, page: Page) -> int | None:
    """Return how large a page is given, where that is less than was asked for at first."""
    if page.next is not None and len(page.names) < answer.asked:
        return len(page.names)
    return answer.asked if answer.refused else None


def _count(page: Page, what: str) -> str:
    if page.count is None:
        return "no count"
    if page.next is not None:
        return f"count says {page.count:,}"
    is_right = page.count == len(page.names)
    return f"count is the number of {what}" if is_right else f"count says {page.count:,}, which is not their number"
