"""What every operation has in common: a frozen request, a frozen response, a chunk that can be joined with others."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict

from .usage import Usage

if TYPE_CHECKING:
    from ..record import Record

Operation = Literal["chat", "embeddings", "image", "speech", "transcription", "moderation", "rerank"]


class Model(BaseModel):
    """Base of all wire-shaped values: immutable, and fields that we do not know are kept as they came."""

    model_config = ConfigDict(
        frozen=True, extra="allow", protected_namespaces=(), populate_by_name=True, hide_input_in_errors=True
    )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data: only what was set, unknown fields included."""
        plain: dict[str, Any] = self.__pydantic_serializer__.to_python(  # what `model_dump` calls, at half its time
            self, mode="json", exclude_unset=True, by_alias=True
        )
        return plain

    def but(self, **changes: Any) -> Self:
        """A copy with these fields set; everything else, unknown fields too, is kept. The values are not validated."""
        return self.model_copy(update=changes)

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that we do not know by name, as they came."""
        return self.model_extra or {}


class Tagged(Model):
    """Base of values whose `type` is part of what they say: it is written out even where it is the default."""

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        self.__pydantic_fields_set__.add("type")


class Request(Model):
    """What is asked. `model` is `vendor/model`, or a bare model name for the pipeline's first provider."""

    operation: ClassVar[Operation]
    model: str
    stream: bool = False


class Response(Model):
    """What came back, whole. The properties below read the call's record; before the call ended they are None."""

    operation: ClassVar[Operation]
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """The answer as text; empty where the operation has none."""
        return ""

    @property
    def record(self) -> Record | None:
        """What happened and why: stages, attempts, facts. None on a response that no pipeline has returned."""
        # where pydantic keeps private attributes, without declaring one: a declared one costs 2 us at each response and 1 us at each look
        private = self.__pydantic_private__
        return private.get("record") if private else None

    @property
    def cost(self) -> Decimal | None:
        """US dollars for the whole call, failed attempts included; None means unknown, never free."""
        return record.cost_usd if (record := self.record) else None

    @property
    def provider(self) -> str | None:
        """The vendor that answered."""
        return record.provider if (record := self.record) else None

    @property
    def latency_s(self) -> float | None:
        """Seconds from the call's start to its end."""
        return record.duration_s if (record := self.record) else None

    @property
    def trace_id(self) -> str | None:
        """32 hex digits: where to look in a trace viewer."""
        return record.trace_id if (record := self.record) else None

    @property
    def request_id(self) -> str | None:
        """The vendor's own id of the exchange, for its support desk."""
        return record.request_id if (record := self.record) else None

    def with_record(self, record: Record) -> Self:
        """This response with `record` attached; a copy if it already carries another call's."""
        private = self.__pydantic_private__
        target = self if not private or private.get("record") is None else self.model_copy()
        object.__setattr__(target, "__pydantic_private__", {"record": record})
        return target


class Chunk(Protocol):
    """One increment of a stream. Chunks are immutable and may be shared."""

    @property
    def text(self) -> str:
        """What this chunk adds to the answer's text; may be empty."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The vendor's token counts, on the chunk that brings them."""
        ...

    @property
    def has_content(self) -> bool:
        """Whether it carries output (text, reasoning, tool calls) rather than only a role, a finish or counts."""
        ...


class Assemble(Protocol):
    """Joins the chunks of one stream, in order, into the response that a unary call would have returned."""

    def __call__(self, chunks: Sequence[Any], /) -> Response: ...
