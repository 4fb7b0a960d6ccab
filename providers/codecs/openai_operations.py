"""The operations beyond chat on OpenAI's wire: which functions speak each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...pipeline.errors import BadRequestError
from ...pipeline.types import assemble_image, assemble_speech, assemble_transcription
from .openai_embeddings import decode_embeddings, encode_embeddings
from .openai_images import decode_image, encode_image, image_decoder
from .openai_judgements import decode_moderation, decode_rerank, encode_moderation, encode_rerank
from .openai_speech import decode_speech, encode_speech, speech_decoder
from .openai_transcription import decode_transcription, encode_transcription, transcription_decoder

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
    "image": Wire(encode_image, decode_image, image_decoder, assemble_image),
    "speech": Wire(encode_speech, decode_speech, speech_decoder, assemble_speech),
    "transcription": Wire(encode_transcription, decode_transcription, transcription_decoder, assemble_transcription),
    "moderation": Wire(encode_moderation, decode_moderation),
    "rerank": Wire(encode_rerank, decode_rerank),
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
