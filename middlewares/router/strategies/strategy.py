"""What a strategy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ..candidates import Candidate, Choice


@runtime_checkable
class Strategy(Protocol):
    """Puts candidates in order, the best first. May skip some, and give them scores (`choice.skip`, `choice.score`). Never waits, keeps no call."""

    name: ClassVar[str]
    weighs: ClassVar[bool]
    """Whether it reads weights."""
    live: ClassVar[bool]
    """Whether it reads the board, which is fed only then."""

    def rank(self, candidates: Sequence[Candidate], choice: Choice) -> Sequence[Candidate]:
        """The candidates, the best first; there is at least one. In a dry run nothing that lasts may change."""
        ...


@runtime_checkable
class Slow(Protocol):
    """A strategy that has to load something before it can rank."""

    @property
    def ready(self) -> bool:
        """Whether it has."""
        ...

    async def prepare(self) -> None:
        """Load it. May be called more than once."""
        ...
