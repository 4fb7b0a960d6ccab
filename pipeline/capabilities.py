"""What is known of models: what they can take."""

from __future__ import annotations

from .pricing import default_prices


def context_tokens(vendor: str | None, model: str) -> int | None:
    """The context window of a model, prompt and output together, by the data that comes with the prices; None where it does not say."""
    look_up = getattr(default_prices(), "context_tokens", None)
    return look_up(vendor, model) if look_up is not None else None
