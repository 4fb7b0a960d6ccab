"""Reads a multipart form as JSON would say it: fields by name, lists as lists, files apart."""

from __future__ import annotations

import email.parser
import email.policy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reading import Json


def read_form(content_type: str, body: bytes) -> tuple[Json, dict[str, list[bytes]]]:
    """(fields, files by field). What is no form has neither."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[str, object] = {}
    files: dict[str, list[bytes]] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        if part.get_filename() is not None:
            files.setdefault(name.removesuffix("[]"), []).append(data)
        elif name.endswith("[]"):
            _listed(fields, name[:-2]).append(data.decode("utf-8", "replace"))
        else:
            fields[name] = _value(data.decode("utf-8", "replace"))
    return fields, files


def _listed(fields: dict[str, object], name: str) -> list[object]:
    found = fields.setdefault(name, [])
    return found if isinstance(found, list) else []


def _value(text: str) -> object:
    return {"true": True, "false": False}.get(text, int(text) if text.isdecimal() and len(text) < 10 else text)
