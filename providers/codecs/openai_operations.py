"""The operations beyond chat on OpenAI's wire: which functions speak each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...pipeline.errors import BadRequestError
from .openai_embeddings import decode_embeddings, encode_embeddings

if TYPE_CHECKING:
    from ...pipeline.call import Call
    from ...pipeline.types import Operation, Response
    from ..codec import Decoder, Encoded
    from ..dialect import Dialect


class Wire(NamedTuple):
    """One operation. Those that have no streams have no `decoder`."""

    encode: Callable[[Call, Dialect], Encoded]
    decode: Callable[[Call, bytes, Dialect], Response]
    decoder: Callable[[Call, Dialect], Decoder] | None = None
    assemble: Callable[[Sequence[Any]], Response] | None = None


WIRES: Mapping[Operation, Wire] = {
    "embeddings": Wire(encode_embeddings, decode_embeddings),
}


def wire_of(call: Call, dialect: Dialect) -> Wire:
    """How the call's operation is spoken. Raises `BadRequestError` for one that the vendor has not."""
    operation = call.request.operation
    wire = WIRES.get(operation)
    if wire is None or operation not in dialect.operations:
        has = ", ".join(sorted(name for name in dialect.operations if name == "chat" or name in WIRES))
        vendor = call.vendor or dialect.name
        raise BadRequestError(
            f"Expected one of the operations that {vendor} has ({has}), found {operation}. Ask another vendor for it; "
            "if it has been added since, openai_compatible with the vendor's base_url will ask."
        )
    if call.request.stream and wire.decoder is None:
        raise BadRequestError(f"Expected a request without stream, found stream=True: {operation} comes whole.")
    return wire
