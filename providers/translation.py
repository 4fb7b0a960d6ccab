"""What happens when a vendor cannot take a request as it is: the call fails, or it is said once, or it is only noted.

The codec notes each difference as a `TRANSLATION` fact while it encodes; this is asked after that and before anything is sent,
in dry runs too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ..pipeline.errors import BadRequestError, ConfigError
from ..pipeline.facts import TRANSLATION, TRANSLATION_POLICIES, Translation, TranslationPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..pipeline.call import Call
    from .codec import Codec, Encoded

logger = logging.getLogger("glassway")

LOSSY: Final = frozenset({"dropped", "clamped"})
"""Actions after which the vendor is asked for something else than the caller said."""

MOST_SAID: Final = 512
"""Pairs of provider and parameter that are logged in a process; parameters may be anything that a caller thinks of."""

_said: set[tuple[str, str]] = set()


def checked_policy(policy: TranslationPolicy) -> TranslationPolicy:
    """`policy`, if it is one. Raises `ConfigError`."""
    if policy not in TRANSLATION_POLICIES:
        raise ConfigError(f"translation: expected one of {', '.join(TRANSLATION_POLICIES)}, found {policy!r}.")
    return policy


def encoded(codec: Codec, call: Call, provider: str, policy: TranslationPolicy) -> Encoded:
    """The vendor's request, if the policy lets it pass; the call's own policy goes before.

    `strict`: `BadRequestError` that names what would be dropped or clamped, and why. `warn`: one line in the log for each
    provider and parameter, once per process. `allow`: nothing. The facts are written whichever it is.
    """
    facts = call.state.facts
    earlier = facts.pop(
        TRANSLATION.name, None
    )  # of other attempts: what another vendor dropped is no reason to refuse here
    try:
        sent = codec.encode(call)
    finally:
        found = facts.get(TRANSLATION.name, ())
        if earlier:
            facts[TRANSLATION.name] = [*earlier, *(fact for fact in found if fact not in earlier)]
    if found:
        _apply(call.options.translation or policy, found, call, provider)
    return sent


def _apply(policy: TranslationPolicy, found: Sequence[Translation], call: Call, provider: str) -> None:
    lost = [fact for fact in found if fact.action in LOSSY]
    if not lost or policy == "allow":
        return
    if policy == "strict":
        raise BadRequestError(
            f"Expected a request that {provider} takes as it is, found {', '.join(map(_told, lost))}. "
            "Leave these out, or allow it: translation='warn'.",
            provider=provider,
            model=call.target.model,
        )
    for fact in lost:
        _say(provider, fact)


def _told(fact: Translation) -> str:
    return f"{fact.parameter} ({fact.action}: {fact.reason})" if fact.reason else f"{fact.parameter} ({fact.action})"


def _say(provider: str, fact: Translation) -> None:
    pair = (provider, fact.parameter)
    if pair in _said or len(_said) >= MOST_SAID:
        return
    _said.add(pair)
    logger.warning("%s: %s is %s: %s (said once)", provider, fact.parameter, fact.action, fact.reason)
