"""Images on OpenAI's wire: made, edited, varied.

Source: https://platform.openai.com/docs/api-reference/images
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...pipeline.errors import BadRequestError
from ...pipeline.types import File, ImageChunk, ImageRequest, ImageResponse
from .multipart import form_request
from .openai_events import ObjectDecoder
from .openai_json import Json, body_of, counted, fitted, json_request, no_answer, object_in

if TYPE_CHECKING:
    from ...pipeline.call import Call
    from ..codec import Encoded
    from ..dialect import Dialect

_EXPECTED = "images"
_PREVIEWS = frozenset({"image_generation.partial_image", "image_edit.partial_image"})
_FINISHED = frozenset({"image_generation.completed", "image_edit.completed"})
_EVENT_FIELDS = ("background", "output_format", "quality", "size")


def encode_image(call: Call, dialect: Dialect) -> Encoded:
    """The request: JSON where nothing but words goes in, a form where pictures do."""
    request = cast("ImageRequest", call.request)
    if request.prompt is None and not request.images:
        raise BadRequestError("Expected a prompt, or images to vary; found neither.")
    fields = body_of(call, dialect, without=frozenset({"images", "mask"}))
    if request.stream:
        fields["stream"] = True
    if not request.images:
        return json_request("/images/generations", fields)
    places = [image for image in request.images if isinstance(image, dict)]
    if places:
        return _edit_by_place(request, places, fields)
    name = "image" if len(request.images) == 1 else "image[]"
    files = [(name, image) for image in request.images if isinstance(image, File)]
    if request.mask is not None:
        files.append(("mask", request.mask))
    return form_request("/images/variations" if request.prompt is None else "/images/edits", fields, files)


def _edit_by_place(request: ImageRequest, places: list[Json], fields: Json) -> Encoded:
    if len(places) < len(request.images) or request.mask is not None:
        raise BadRequestError("Expected images all as files, or all as URLs and without a mask; found a mixture.")
    return json_request("/images/edits", {**fields, "images": places})


def decode_image(call: Call, body: bytes, dialect: Dialect) -> ImageResponse:  # noqa: ARG001 - as all of them
    """The pictures."""
    data = object_in(body, _EXPECTED)
    if not isinstance(data.get("data"), list):
        raise no_answer(_EXPECTED, "an object without data")
    usage = counted(data.pop("usage", None))
    known = {name: value for name, value in data.items() if value is not None or name not in ("created", "model")}
    return fitted(ImageResponse, {**known, "usage": usage}, _EXPECTED)


def image_decoder(call: Call, dialect: Dialect) -> ObjectDecoder:  # noqa: ARG001 - as all of them
    """A decoder for one streamed answer: previews, then as many finished pictures as were asked for."""
    left = getattr(call.request, "n", None) or 1

    def read(event: Json) -> tuple[ImageChunk | None, bool]:
        nonlocal left
        kind = event.get("type")
        if kind not in _PREVIEWS | _FINISHED:
            return None, False
        left -= kind in _FINISHED
        return _chunk(event, finished=kind in _FINISHED), not left

    return ObjectDecoder(read)


def _chunk(event: Json, *, finished: bool) -> ImageChunk:
    return ImageChunk(
        b64_json=event.get("b64_json"),
        partial_index=None if finished else event.get("partial_image_index") or 0,
        created=event.get("created_at") or 0,
        usage=counted(event.get("usage")),
        extra={name: event[name] for name in _EVENT_FIELDS if event.get(name) is not None} or None,
    )
