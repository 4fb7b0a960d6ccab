"""Many requests at once, from and to JSON lines in OpenAI's batch format: in bounded numbers, patient with limits, resumed after a kill."""

from __future__ import annotations

from .lines import BatchRequest, BatchResult
from .progress import BatchProgress
from .run import Batch, BatchSettings

__all__ = ["Batch", "BatchProgress", "BatchRequest", "BatchResult", "BatchSettings"]
