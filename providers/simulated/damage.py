"""Does to a good answer what a fault asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .exchange import Piece, SimulatedReply
from .refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .faults import Fault
    from .wire import Event, Wire

_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


def refusal_for(fault: Fault, wire: Wire, model: str, *, streamed: bool) -> Refusal | None:
    """The error that a fault answers instead of content, `None` when it lets the answer begin."""
    match fault.kind:
        case "rate_limit":
            waits = {
                "retry-after": _seconds(fault.retry_after_s),
                "retry-after-ms": f"{fault.retry_after_s * 1000:.0f}",
            }
            return replace(wire.rate_limited(model, fault.retry_after_s), headers=waits)
        case "overloaded":
            return wire.overloaded()
        case "server_error":
            return Refusal(fault.status, "The server had an error while processing your request.")
        case "error_event" if not streamed:
            return Refusal(500, "The server had an error while processing your request.")
        case _:
            return None


def instead(fault: Fault) -> SimulatedReply | None:
    """The reply of something that stands before the vendor: a broken proxy, a closed port."""
    match fault.kind:
        case "html_502":
            return SimulatedReply(502, {"content-type": "text/html", "server": "nginx"}, (Piece(_HTML_502),))
        case "refuse_connection":
            return SimulatedReply(0, {}, ending="refused")
        case _:
            return None


def damage_stream(reply: SimulatedReply, events: Sequence[Event], fault: Fault, error: Event) -> SimulatedReply:
    """`reply`, whose pieces are `events`, with the fault in it; `error` is the vendor's error event."""
    pieces = list(reply.pieces)
    content = sum(not event.closing for event in events)
    position = min(fault.after_chunks, content)
    match fault.kind:
        case "cut":
            return replace(reply, pieces=pieces[:position], ending="cut")
        case "error_event":
            return replace(reply, pieces=[*pieces[:position], Piece(error.encode())])
        case "malformed_event" | "truncated_json":
            pieces[position] = replace(pieces[position], data=_broken(events[position]).encode())
        case "stall":
            pieces[position] = _later(pieces[position], fault.for_s)
        case "slow_first_chunk":
            pieces[0] = _later(pieces[0], fault.for_s)
        case "duplicate_terminator":
            pieces.append(pieces[-1])
    return replace(reply, pieces=pieces)


def damage_body(reply: SimulatedReply, fault: Fault) -> SimulatedReply:
    """A complete reply with the fault in it."""
    half = len(reply.body) // 2
    first, second = Piece(reply.body[:half]), Piece(reply.body[half:])
    match fault.kind:
        case "cut":
            return replace(reply, pieces=(first,), ending="cut")
        case "stall":
            return replace(reply, pieces=(first, _later(second, fault.for_s)))
        case "slow_first_chunk":
            return replace(reply, delay_s=reply.delay_s + fault.for_s)
        case "truncated_json" | "malformed_event":
            return replace(reply, pieces=(first,), headers={**reply.headers, "content-length": str(half)})
        case _:
            return reply


def _seconds(seconds: float) -> str:
    # Source: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after (whole seconds only)
    return str(-int(-seconds // 1))


def _broken(event: Event) -> Event:
    text = '{"broken": ' if event.data == "[DONE]" else event.data[: len(event.data) * 2 // 3]
    return replace(event, data=text)


def _later(piece: Piece, seconds: float) -> Piece:
    return replace(piece, delay_s=piece.delay_s + seconds)
