"""Serve a model with llama.cpp's own server: `python serve_llama.py MODEL.gguf PORT [API_KEY [embeddings]]`.

Prints `listening` when it answers; runs until it is ended.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp  # type: ignore[import-untyped]  # it ships no types


def main(model: str, port: str, api_key: str = "", serves: str = "chats") -> None:
    """Start it and wait for a signal."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 2048
    params.n_parallel = 2
    params.model_alias = {"tiny-random"}
    params.use_jinja = True
    params.warmup = False
    if serves == "embeddings":
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if api_key:
        params.api_keys = [api_key]
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
