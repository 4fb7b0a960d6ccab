"""The loopback server at the level of bytes and sockets."""

import asyncio
import json
import socket
import subprocess
import sys

import pytest

from glassway.providers.simulated import Fault, SimulatedServer, SimulatedVendor, Timing

HELLO = [{"role": "user", "content": "Tell me something."}]


def make_vendor(**settings):
    return SimulatedVendor(**{"timing": Timing(scale=0), "now": lambda: 1_750_000_000, **settings})


def request_bytes(**settings):
    body = json.dumps({"model": "gpt-sim", "messages": HELLO, **settings}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def exchange(vendor, *sent, read=None):
    """Sends bytes on one connection and returns what came back until the server closed, or until `read` was seen."""

    async def run():
        async with SimulatedServer(vendor) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.rpartition(":")[2]))
            try:
                for data in sent:
                    writer.write(data)
                return await (reader.readuntil(read) if read else reader.read())
            finally:
                writer.close()

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_a_connection_is_kept_alive_for_the_next_request():
    last = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nconnection: close\r\n\r\n"
    received = exchange(make_vendor(), request_bytes(), last)
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.rstrip().endswith(b"}]}")


def test_a_stream_is_chunked_and_properly_ended():
    received = exchange(make_vendor(), request_bytes(stream=True), read=b"\r\n0\r\n\r\n")
    head, _, rest = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"data: [DONE]\n\n" in rest


def test_a_cut_stream_closes_the_connection_before_the_terminating_chunk():
    received = exchange(make_vendor(faults=[Fault("cut", after_chunks=3)]), request_bytes(stream=True))
    assert received.count(b"data: ") == 3
    assert not received.endswith(b"0\r\n\r\n")


def test_a_cut_answer_is_shorter_than_its_declared_length():
    head, _, body = exchange(make_vendor(faults=[Fault("cut")]), request_bytes()).partition(b"\r\n\r\n")
    declared = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(body) < declared


def test_a_refused_connection_is_reset_without_a_byte():
    with pytest.raises(ConnectionResetError):
        exchange(make_vendor(faults=[Fault("refuse_connection")]), request_bytes())


def test_a_client_that_leaves_during_a_long_wait_is_noticed_at_once():
    async def run():
        asleep, ever = asyncio.Event(), asyncio.Event()

        async def sleep(_seconds):
            asleep.set()
            await ever.wait()

        vendor = make_vendor(faults=[Fault("stall")], sleep=sleep)
        async with SimulatedServer(vendor) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.rpartition(":")[2]))
            writer.write(request_bytes(stream=True))
            await asleep.wait()
            writer.close()
            await writer.wait_closed()
            while not vendor.abandoned:  # noqa: ASYNC110 - another task's counter
                await asyncio.sleep(0)
        return vendor.abandoned

    assert asyncio.run(asyncio.wait_for(run(), 10)) == 1


def test_leaving_the_context_drops_what_is_still_being_answered():
    async def run():
        asleep, ever = asyncio.Event(), asyncio.Event()

        async def sleep(_seconds):
            asleep.set()
            await ever.wait()

        async with SimulatedServer(make_vendor(faults=[Fault("stall")], sleep=sleep)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.rpartition(":")[2]))
            writer.write(request_bytes(stream=True))
            await asleep.wait()
        try:
            return await reader.read()
        finally:
            writer.close()

    assert b"[DONE]" not in asyncio.run(asyncio.wait_for(run(), 10))


@pytest.mark.parametrize("junk", [b"\x00\x01\r\n\r\n", b"GET /\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_gets_a_400(junk):
    assert exchange(make_vendor(), junk).startswith(b"HTTP/1.1 400")


def test_a_body_beyond_the_limit_is_read_but_not_kept():
    vendor = make_vendor(max_body_bytes=1000)
    content = b"x" * 50_000
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nconnection: close\r\n"
    received = exchange(vendor, head + b"content-length: 50000\r\n\r\n" + content)
    assert received.startswith(b"HTTP/1.1 413")


def test_a_client_may_wait_for_100_continue():
    head, _, _ = request_bytes().partition(b"\r\n\r\n")
    sent = head + b"\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    received = exchange(make_vendor(), sent, read=b"HTTP/1.1 100 ")
    assert received == b"HTTP/1.1 100 "


def test_the_server_runs_in_a_thread_and_stops():
    server = SimulatedServer(make_vendor())
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url
    for _ in range(2):
        with server.run_in_thread() as running:
            address = running.base_url
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5):
                pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5)


def test_a_port_that_is_taken_is_told_to_the_caller():
    with (
        SimulatedServer(make_vendor()).run_in_thread() as first,
        pytest.raises(OSError, match="in use"),
        SimulatedServer(make_vendor(), port=int(first.base_url.rpartition(":")[2])).run_in_thread(),
    ):
        pass


def test_importing_the_package_imports_neither_httpx_nor_a_server():
    code = (
        "import sys, glassway.providers.simulated.app; "
        "print([name for name in ('httpx', 'h11', 'glassway.providers.simulated.server') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_it_can_be_served_from_the_command_line():
    command = [sys.executable, "-m", "glassway.providers.simulated", "--scale", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()[3]
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5):
                pass
        finally:
            process.terminate()
