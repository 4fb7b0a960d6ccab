"""The event-stream decoder: the same events however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassway.pipeline.errors import ResponseValidationError
from glassway.providers.sse import Event, EventDecoder


def decoded(*pieces: bytes) -> list[Event]:
    decoder, events = EventDecoder(), list[Event]()
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.finish()


def data(*pieces: bytes) -> list[bytes]:
    return [event.data for event in decoded(*pieces)]


def test_an_event_has_its_name_and_its_lines_joined() -> None:
    assert decoded(b"event: x\ndata: a\ndata: b\n\n") == [Event("x", b"a\nb")]


def test_a_name_is_for_one_event_only() -> None:
    assert decoded(b"event: x\ndata: a\n\ndata: b\n\n") == [Event("x", b"a"), Event("", b"b")]


def test_a_name_without_data_is_no_event() -> None:
    assert decoded(b"event: x\n\ndata: b\n\n") == [Event("", b"b")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_counts(end: bytes) -> None:
    assert data(end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])) == [b"a\nb", b"c"]


def test_a_line_end_that_is_cut_in_two_is_one() -> None:
    assert data(b"data: a\r", b"\ndata: b\r\n\r", b"\n") == [b"a\nb"]


def test_an_empty_piece_between_the_two_changes_nothing() -> None:
    assert data(b"data: a\r", b"", b"\ndata: b\n\n") == [b"a\nb"]


def test_one_space_behind_the_colon_is_left_out() -> None:
    assert data(b"data:a\n\ndata:  b\n\ndata\n\n") == [b"a", b" b", b""]


def test_comments_and_other_fields_are_passed_over() -> None:
    assert data(b": hello\nid: 1\nretry: 5\nother\ndata: a\n: x\n\n") == [b"a"]


@pytest.mark.parametrize("cut", range(4))
def test_a_byte_order_mark_is_passed_over(cut: int) -> None:
    mark = b"\xef\xbb\xbf"
    assert data(mark[:cut], mark[cut:] + b"data: a\n\n") == [b"a"]


def test_a_mark_in_the_middle_is_text() -> None:
    assert data(b"data: \xef\xbb\xbfa\n\n") == [b"\xef\xbb\xbfa"]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_needs_no_empty_line(tail: bytes) -> None:
    assert data(b"data: a\n\ndata: b" + tail) == [b"a", b"b"]


def test_nothing_comes_twice_from_the_end() -> None:
    decoder = EventDecoder()
    decoder.feed(b"data: a")
    assert [len(decoder.finish()), len(decoder.finish())] == [1, 0]


def test_separators_of_unicode_are_no_line_ends() -> None:
    text = "a\u2028b\x0bc\x0cd\x85e".encode()
    assert data(b"data: " + text + b"\n\n") == [text]


@pytest.mark.parametrize(
    "lines", [[b"data: " + b"x" * 80], [b"data: " + b"x" * 30, b"\ndata: " + b"x" * 30, b"\ndata: "]]
)
def test_an_event_that_is_too_long_is_refused(lines: list[bytes]) -> None:
    decoder = EventDecoder(max_event_bytes=64)
    with pytest.raises(ResponseValidationError, match="at most 64 bytes"):
        [decoder.feed(line) for line in lines]


def test_many_short_events_are_never_too_long() -> None:
    decoder = EventDecoder(max_event_bytes=64)
    assert sum(len(decoder.feed(b"data: " + b"x" * 50 + b"\n\n")) for _ in range(100)) == 100


streams = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"event: x",
            b": c",
            b"id: 1",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"a",
            "é".encode(),
            b"\xef\xbb\xbf",
        ]
    )
).map(b"".join)


@given(streams, st.data())
def test_any_split_gives_the_same_events(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decoded(*pieces) == decoded(stream)


@given(streams)
def test_one_byte_at_a_time_gives_the_same_events(stream: bytes) -> None:
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == decoded(stream)


def reference(stream: bytes) -> list[Event]:
    """The standard's algorithm, line by line, with the last event let through."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, name, lines = list[Event](), "", list[bytes]()
    for line in [*text.split(b"\n"), b""]:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if not line:
            if lines:
                events.append(Event(name, b"\n".join(lines)))
            name, lines = "", []
        elif field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return events


@given(streams)
def test_the_events_are_those_of_the_standard(stream: bytes) -> None:
    assert decoded(stream) == reference(stream)
