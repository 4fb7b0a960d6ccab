"""The stages that come with Glassway."""

from __future__ import annotations

from .cache import Cache
from .callbacks import CallEvent, Callbacks
from .cost import Cost
from .fallback import Fallback
from .retry import Retry
from .timeout import Timeout
from .tracing import Tracing

__all__ = ["Cache", "CallEvent", "Callbacks", "Cost", "Fallback", "Retry", "Timeout", "Tracing"]
