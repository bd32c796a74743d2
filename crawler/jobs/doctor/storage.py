"""The storage that snapshots are pushed to: whether it can be reached and written, and keeps writers apart."""

from __future__ import annotations

from crawler.core.errors import UsageError
from crawler.jobs.doctor.checks import Check, ok, refused, warning
from crawler.output.stores.opening import store_at


def of_store(url: str) -> Check:
    """Try there what a push relies on, on an object that is removed again.

    A run would do without the storage: it pushes later. Without the library, or with a URL that is none, it would not.
    """
    try:
        store = store_at(url)
        is_safe = store.can_create and store.can_swap
    except UsageError as error:
        return refused("store", error)
    except OSError as error:
        return warning(
            "store", f"{url}: {error.strerror}", "check its bucket, keys and endpoint: nothing can be pushed"
        )
    if not is_safe:
        return warning("store", f"{url} can be written, but heeds no conditions", "let one run at a time push there")
    return ok("store", f"{url} can be written, and keeps those apart who push at once")
