"""The keys: where they were found, whether the gateway takes them, and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from crawler.api.identity import MAIN_ACCOUNT, VIEWER_POLICY
from crawler.api.signing import ABSURD_DIFFERENCE_S
from crawler.api.v2 import V2
from crawler.core.errors import GatewayError, RequestError
from crawler.engine.retry_policy import Action, called_for, rule_for
from crawler.jobs.doctor.checks import NOTHING_REQUESTED, REFUSED, failed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Collection

    from crawler.api.dialect import Dialect
    from crawler.api.identity import Identity
    from crawler.core.errors import CredentialsError
    from crawler.core.secret import KeyPair
    from crawler.jobs.doctor.checks import Check

_TAKEN = (Action.DENIED, Action.NOT_FOUND, Action.BAD_REQUEST, Action.STOP_QUOTA)
"""What an answer calls for that only a key which is known gets."""
_SHOWN = 4
_LEAST_HIDDEN = 8
"""Characters of a key that stay hidden: of a shorter one nothing is shown."""


def no_key(error: CredentialsError) -> Check:
    """Return why there is no key."""
    detail, _, hint = str(error).partition("\n")
    return failed("key", detail, hint.replace("\n", "; ") or "mend what is named", exit_code=NOTHING_REQUESTED)


def of_key(keys: KeyPair, account: str, warnings: Collection[str], *, now_s: float) -> Check:
    """Return where the keys come from, and the end of the access key."""
    shown = f"access key …{_end_of(keys.access_key.reveal())} from {keys.source}; account {account}"
    if keys.expires_at_s is not None:
        shown += f"; expires in {max(0.0, keys.expires_at_s - now_s):.0f} s, and is renewed before"
    if warnings:
        return warning("key", "; ".join([shown, *warnings]), "see to what is named")
    return ok("key", shown)


def of_acceptance(errors: Collection[RequestError | None], skew_s: float | None, *, is_known: bool) -> Check:
    """Return whether the gateway takes the key.

    Args:
        errors: what each region's list of registries ended in; None is a page.
        skew_s: the gateway's clock minus ours; None if it told no time.
        is_known: the provider's STS knows the key.
    """
    name = "key/accepted"
    if any(error is None or lasting_action(error) in _TAKEN for error in errors):
        return ok(name, "the gateway takes its signature")
    refusals = list(filter(is_refusal, errors))
    if not refusals:
        return skipped(name, "no answer says whether it is")
    if skew_s is not None and abs(skew_s) > ABSURD_DIFFERENCE_S:
        return skipped(name, "nobody knows before the clock is right")
    if is_known:
        mend = "the provider's STS knows this key: is its sub account barred from this gateway, or this address?"
    elif skew_s is None:
        mend = "the gateway tells no time, so it can be this machine's clock as well: see to that, then to the key"
    else:
        mend = "the clock is not why: make sure that access key and secret key are one pair, not deleted or disabled"
    return failed(name, f"the gateway refuses the key: {refusals[0]}", mend, exit_code=REFUSED)


def lasting_action(error: RequestError, dialect: Dialect = V2) -> Action:
    """Return what a run would do about an error that comes again; about keys and pace all versions agree."""
    return called_for(rule_for(error, dialect), tries=1)


def is_refusal(error: RequestError | None) -> TypeGuard[GatewayError]:
    """Whether an error says that the key, or its signature, is not taken."""
    return isinstance(error, GatewayError) and lasting_action(error) is Action.STOP_KEY


def of_identity(identity: Identity | RequestError | None) -> Check:
    """Return whose the key is, or why nobody knows; None where nobody can be asked. A run does not need to know."""
    if identity is None:
        return skipped("identity", "the provider's STS is not asked about keys of another gateway")
    if isinstance(identity, RequestError):
        mend = (
            "see key/accepted" if is_refusal(identity) else "let this machine out to STS too, or go on: no run asks it"
        )
        return warning("identity", f"STS does not say whose the key is: {identity}", mend)
    whose = {MAIN_ACCOUNT: "a main account", "Sub": "a sub account", "Role": "a server role"}
    kind = whose.get(identity.user_type, f"an account of a kind that is not known, {identity.user_type!r}")
    detail = f"the key is of {kind}" + (f", {identity.login_alias}" if identity.login_alias else "")
    if identity.user_type == MAIN_ACCOUNT:
        mend = f"take the key of a sub account that has the policy {VIEWER_POLICY} and no other"
        return warning("identity", f"{detail}, which may do everything", mend)
    return ok("identity", detail)


def _end_of(text: str) -> str:
    return text[-_SHOWN:] if len(text) >= _SHOWN + _LEAST_HIDDEN else ""
