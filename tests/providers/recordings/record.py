"""Record a vendor that speaks OpenAI's protocol: one small chat, whole and streamed, as files that the tests pick up.

    python tests/providers/recordings/record.py VENDOR MODEL [--base-url URL] [--api-key KEY] [--into FOLDER]

VENDOR is a name of the catalogue, whose row says what is sent. Keys are not recorded, and of the headers only those that say
what the body is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from glassway.pipeline.call import Call
from glassway.pipeline.types import ChatRequest
from glassway.providers import provider

HERE = Path(__file__).parent
KEPT = ("content-type",)
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 8,
    "temperature": 0,
    "seed": 1,
}


class Recorder(httpx.AsyncBaseTransport):
    """Sends what it is given, and keeps what was said."""

    def __init__(self) -> None:
        self.exchange: dict[str, Any] = {}
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._network.handle_async_request(request)
        body = await response.aread()
        self.exchange = {
            "request": {"method": request.method, "path": request.url.path, "json": json.loads(request.content)},
            "response": {
                "status": response.status_code,
                "headers": {name: response.headers[name] for name in KEPT if name in response.headers},
                "body_text": body.decode(),
            },
        }
        return httpx.Response(response.status_code, headers=self.exchange["response"]["headers"], content=body)


async def record(vendor: str, model: str, *, stream: bool, **settings: Any) -> dict[str, Any]:
    """One exchange, judged good by our own reading of it: what fails is raised."""
    recorder = Recorder()
    target = provider(vendor, transport=recorder, **settings)
    request = ChatRequest.model_validate({"model": model, **ASKED, "stream": stream})
    reply = await target(Call.start(request, timeout_s=60))
    if stream:
        await reply.response()  # type: ignore[union-attr]  # a stream was asked for
    return {"vendor": vendor, "model": model, **recorder.exchange}


def main() -> int:
    """Write the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vendor")
    parser.add_argument("model")
    parser.add_argument("--base-url")
    parser.add_argument("--api-key")
    parser.add_argument("--into", type=Path, default=HERE, help="another folder for the files")
    asked = parser.parse_args()
    settings = {"base_url": asked.base_url, "api_key": asked.api_key}
    for name, stream in (("chat", False), ("chat-stream", True)):
        exchange = asyncio.run(record(asked.vendor, asked.model, stream=stream, **settings))
        file = asked.into / asked.vendor / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(exchange, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
