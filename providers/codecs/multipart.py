"""Forms with files in them, as `multipart/form-data`.

Source: https://www.rfc-editor.org/rfc/rfc7578, https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from ...pipeline.errors import BadRequestError
from ..codec import Encoded

if TYPE_CHECKING:
    from ...pipeline.types import File

MAX_FORM_BYTES = 256 << 20
"""Ten times what OpenAI takes for a sound: beyond it, somebody has given the wrong file."""

_ESCAPES = {'"': "%22", "\r": "%0D", "\n": "%0A"}


def form_request(path: str, fields: Mapping[str, Any], files: Sequence[tuple[str, File]]) -> Encoded:
    """A POST of a form: fields in their order, then the files. Raises `BadRequestError` if it is larger than 256 MiB."""
    size = sum(len(file.data) for _, file in files)
    if size > MAX_FORM_BYTES:
        raise BadRequestError(
            f"Expected files of at most {MAX_FORM_BYTES >> 20} MiB together, found {size >> 20} MiB. Send less at once."
        )
    boundary = token_hex(16)  # 128 random bits: no file holds them
    parts = [_field(name, value) for name, value in _flat(fields)]
    parts += [_file(name, file) for name, file in files]
    mark = f"--{boundary}\r\n".encode()
    content = b"".join(mark + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return Encoded("POST", path, content, {"content-type": f"multipart/form-data; boundary={boundary}"})


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lists as `name[]` again and again, objects as `name[key]`: how OpenAI's own clients write them."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat({f"{name}[{key}]": item for key, item in value.items()})
        elif isinstance(value, (list, tuple)):
            for item in value:
                yield from _flat({f"{name}[]": item})
        elif isinstance(value, bool):
            yield name, "true" if value else "false"
        else:
            yield name, str(value)


def _field(name: str, value: str) -> bytes:
    return f'Content-Disposition: form-data; name="{_escaped(name)}"\r\n\r\n{value}'.encode()


def _file(name: str, file: File) -> bytes:
    head = f'Content-Disposition: form-data; name="{_escaped(name)}"; filename="{_escaped(file.name)}"\r\n'
    kind = file.kind.replace("\r", "").replace("\n", "")
    return f"{head}Content-Type: {kind}\r\n\r\n".encode() + file.data


def _escaped(name: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in name)
