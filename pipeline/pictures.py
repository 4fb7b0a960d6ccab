"""The client's methods for pictures: made, edited, looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, overload

from .asking import Asking
from .call import NO_OPTIONS, CallOptions
from .files import FileSource, Picture, aread_file, aread_images, image_part, read_file, read_images
from .params import Params
from .stream import Stream
from .syncstream import SyncStream
from .types import ChatRequest, ChatResponse, File, ImageRequest, ImageResponse, Message, Part, TextPart

Images = FileSource | list[FileSource]
"""One picture, or a list of them."""


class Pictures(Asking):
    """Methods of `Client`; see there for what all of them take and raise."""

    @overload
    def image(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> ImageResponse: ...

    @overload
    def image(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: Literal[True],
        options: CallOptions = ...,
        **params: Any,
    ) -> SyncStream[ImageResponse]: ...

    def image(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: bool = False,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ImageResponse | SyncStream[ImageResponse]:
        """Make pictures: `.data`, each with a `.url` or its bytes as `.content`; `.image` is the first.

        With `images` they are edited as the prompt says, within the transparent parts of `mask` if there is one; without a
        prompt, varied. Each is bytes, a path or something open for reading; URLs go to the vendor as they are.
        """
        files, cover = read_images(images), None if mask is None else read_file(mask)
        return self._reply(self._image(model, prompt, files, cover, stream, options, params))  # type: ignore[return-value]  # the operation's own

    @overload
    async def aimage(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> ImageResponse: ...

    @overload
    async def aimage(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: Literal[True],
        options: CallOptions = ...,
        **params: Any,
    ) -> Stream: ...

    async def aimage(
        self,
        model: str,
        prompt: str | None = None,
        *,
        images: Images | None = None,
        mask: FileSource | None = None,
        stream: bool = False,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ImageResponse | Stream:
        """`image`, on the running event loop."""
        files, cover = await aread_images(images), None if mask is None else await aread_file(mask)
        return await self._areply(self._image(model, prompt, files, cover, stream, options, params))  # type: ignore[return-value]  # as above

    def vision(
        self,
        model: str,
        prompt: str,
        image: Images,
        *,
        detail: str | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ChatResponse:
        """Ask about a picture, or several: each a URL, a path or bytes. `detail`: how closely to look (`low`, `high`, `auto`)."""
        return self._whole(ChatResponse, self._seen(model, prompt, _looked_at(image, detail), options, params))

    async def avision(
        self,
        model: str,
        prompt: str,
        image: Images,
        *,
        detail: str | None = None,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> ChatResponse:
        """`vision`, on the running event loop."""
        parts = await asyncio.to_thread(_looked_at, image, detail)
        return await self._awhole(ChatResponse, self._seen(model, prompt, parts, options, params))

    # -- inside

    def _image(
        self,
        model: str,
        prompt: str | None,
        images: tuple[Picture, ...],
        mask: File | None,
        stream: bool,
        options: CallOptions,
        params: dict[str, Any],
    ) -> Params:
        fields = {"prompt": prompt, "images": images, "mask": mask, "stream": stream}
        return self._params(ImageRequest, model, fields, options, params)

    def _seen(
        self, model: str, prompt: str, parts: Sequence[Part], options: CallOptions, params: dict[str, Any]
    ) -> Params:
        message = Message(role="user", content=(TextPart(type="text", text=prompt), *parts))
        return self._params(ChatRequest, model, {"messages": (message,)}, options, params)


def _looked_at(images: Images, detail: str | None) -> list[Part]:
    listed = images if isinstance(images, list) else [images]
    return [image_part(image, detail) for image in listed]
