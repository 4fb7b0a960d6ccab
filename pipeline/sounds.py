"""The client's methods for sound: speech and transcription."""

from __future__ import annotations

from typing import Any, Literal, overload

from .asking import Asking
from .call import NO_OPTIONS, CallOptions
from .files import FileSource, aread_file, read_file
from .params import Params
from .stream import Stream
from .syncstream import SyncStream
from .types import File, SpeechRequest, SpeechResponse, TranscriptionRequest, TranscriptionResponse


class Sounds(Asking):
    """Methods of `Client`; see there for what all of them take and raise."""

    @overload
    def speech(
        self,
        model: str,
        input: str,
        *,
        voice: str | None = None,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> SpeechResponse: ...

    @overload
    def speech(
        self,
        model: str,
        input: str,
        *,
        voice: str | None = None,
        stream: Literal[True],
        options: CallOptions = ...,
        **params: Any,
    ) -> SyncStream[SpeechResponse]: ...

    def speech(
        self,
        model: str,
        input: str,  # noqa: A002 - OpenAI's name
        *,
        voice: str | None = None,
        stream: bool = False,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> SpeechResponse | SyncStream[SpeechResponse]:
        """A text as sound: `.content` and `.content_type`, `.save(path)`. A stream's chunks have the sound in `.data`."""
        return self._reply(self._speech(model, input, voice, stream, options, params))  # type: ignore[return-value]  # the operation's own

    @overload
    async def aspeech(
        self,
        model: str,
        input: str,
        *,
        voice: str | None = None,
        stream: Literal[False] = False,
        options: CallOptions = ...,
        **params: Any,
    ) -> SpeechResponse: ...

    @overload
    async def aspeech(
        self,
        model: str,
        input: str,
        *,
        voice: str | None = None,
        stream: Literal[True],
        options: CallOptions = ...,
        **params: Any,
    ) -> Stream: ...

    async def aspeech(
        self,
        model: str,
        input: str,  # noqa: A002 - as above
        *,
        voice: str | None = None,
        stream: bool = False,
        options: CallOptions = NO_OPTIONS,
        **params: Any,
    ) -> SpeechResponse | Stream:
        """`speech`, on the running event loop."""
        return await self._areply(self._speech(model, input, voice, stream, options, params))  # type: ignore[return-value]  # as above

    @overload
    def transcription(
        self, model: str, file: FileSource, *, stream: Literal[False] = False, options: CallOptions = ..., **params: Any
    ) -> TranscriptionResponse: ...

    @overload
    def transcription(
        self, model: str, file: FileSource, *, stream: Literal[True], options: CallOptions = ..., **params: Any
    ) -> SyncStream[TranscriptionResponse]: ...

    def transcription(
        self, model: str, file: FileSource, *, stream: bool = False, options: CallOptions = NO_OPTIONS, **params: Any
    ) -> TranscriptionResponse | SyncStream[TranscriptionResponse]:
        """Sound as text: `.text`, and `.segments` and `.words` where `response_format="verbose_json"` asks for them.

        `file`: bytes, a path or something open for reading. `task="translate"` writes it down in English.
        """
        return self._reply(self._transcription(model, read_file(file), stream, options, params))  # type: ignore[return-value]  # as above

    @overload
    async def atranscription(
        self, model: str, file: FileSource, *, stream: Literal[False] = False, options: CallOptions = ..., **params: Any
    ) -> TranscriptionResponse: ...

    @overload
    async def atranscription(
        self, model: str, file: FileSource, *, stream: Literal[True], options: CallOptions = ..., **params: Any
    ) -> Stream: ...

    async def atranscription(
        self, model: str, file: FileSource, *, stream: bool = False, options: CallOptions = NO_OPTIONS, **params: Any
    ) -> TranscriptionResponse | Stream:
        """`transcription`, on the running event loop."""
        return await self._areply(self._transcription(model, await aread_file(file), stream, options, params))  # type: ignore[return-value]  # as above

    # -- inside

    def _speech(
        self, model: str, text: str, voice: str | None, stream: bool, options: CallOptions, params: dict[str, Any]
    ) -> Params:
        return self._params(SpeechRequest, model, {"input": text, "voice": voice, "stream": stream}, options, params)

    def _transcription(
        self, model: str, file: File, stream: bool, options: CallOptions, params: dict[str, Any]
    ) -> Params:
        return self._params(TranscriptionRequest, model, {"file": file, "stream": stream}, options, params)
