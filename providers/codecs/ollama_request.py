"""A chat request as the body of `POST /api/chat`, and an embeddings request as that of `POST /api/embed`.

Source: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/embed, https://docs.ollama.com/modelfile#parameter
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.errors import BadRequestError
from ...pipeline.types import ChatRequest, EmbeddingsRequest
from .notes import Note
from .ollama_messages import conversation
from .ollama_tools import tools_of

Json = dict[str, Any]

OWN_PARAMETERS: Final = frozenset({"keep_alive", "think", "format", "truncate", "shift"})
"""Fields beside OpenAI's that are the server's own: passed on here, of no use to any other vendor."""

OWN_OPTIONS: Final = frozenset(
    {
        "num_ctx",
        "num_keep",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "numa",
        "low_vram",
        "use_mmap",
        "use_mlock",
    }
    | {"min_p", "tfs_z", "typical_p", "repeat_last_n", "repeat_penalty", "mirostat", "mirostat_tau", "mirostat_eta"}
    | {"penalize_newline", "num_predict", "draft_num_predict"}
)
"""The server's own options. They may stand beside OpenAI's parameters, or in `options`."""

_OPTIONS: Final = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_LEVELS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_NOT_THERE: Final = {"logit_bias": None, "user": None, "metadata": None, "audio": None}


def chat_body(request: ChatRequest, model: str, note: Note) -> Json:
    """The body for `model`; everything that it cannot say is noted. `stream` is always said: the server streams by default."""
    body: Json = {"model": model, "messages": conversation(request.messages, note), "stream": request.stream}
    if tools := tools_of(request, note):
        body["tools"] = tools
    if options := _options(request, note):
        body["options"] = options
    _put_format(body, request, note)
    _put_think(body, request, note)
    body |= {name: value for name, value in request.extra.items() if name in OWN_PARAMETERS}
    for name in ("logprobs", "top_logprobs"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    _note_missing(request, note)
    return body


def _options(request: ChatRequest, note: Note) -> Json:
    given = request.extra.get("options")
    options: Json = dict(given) if isinstance(given, dict) else {}
    options |= {name: value for name, value in request.extra.items() if name in OWN_OPTIONS}
    options |= {name: value for name in _OPTIONS if (value := getattr(request, name)) is not None}
    if request.stop_sequences:
        options["stop"] = list(request.stop_sequences)
    if request.output_limit is not None:
        options["num_predict"] = request.output_limit
        note("max_tokens", "renamed", "the server calls it num_predict")
    return options


def _put_format(body: Json, request: ChatRequest, note: Note) -> None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return
    schema = (wanted.json_schema or {}).get("schema")
    body["format"] = schema if isinstance(schema, dict) else "json"
    note("response_format", "renamed", "sent as format")


def _put_think(body: Json, request: ChatRequest, note: Note) -> None:
    """Models without levels take one as yes. Source: https://docs.ollama.com/capabilities/thinking"""
    effort = request.reasoning_effort
    if effort is None or "think" in request.extra:
        return
    if effort != "none" and effort not in _LEVELS:
        note("reasoning_effort", "dropped", f"expected one of none, {', '.join(_LEVELS)}")
        return
    body["think"] = False if effort == "none" else _LEVELS[effort]
    note("reasoning_effort", "renamed" if body["think"] in (False, effort) else "clamped", "sent as think")


def _note_missing(request: ChatRequest, note: Note) -> None:
    for name, nothing in _NOT_THERE.items():
        if getattr(request, name) not in (None, nothing):
            note(name, "dropped", "the server has no such parameter")
    if (request.n or 1) > 1:
        note("n", "dropped", "the server gives one answer")
    if set(request.modalities or ()) - {"text"}:
        note("modalities", "dropped", "the server answers in text")
    if request.service_tier not in (None, "auto", "default"):
        note("service_tier", "dropped", "the server has no tiers")
    for name in request.extra.keys() - OWN_PARAMETERS - OWN_OPTIONS - {"options"}:
        note(name[:80], "dropped", "not a parameter of the server's")


def embed_body(request: EmbeddingsRequest, model: str, note: Note) -> Json:
    """The body of `POST /api/embed`. Raises `BadRequestError` for inputs that are no texts."""
    if not all(isinstance(one, str) for one in request.inputs):
        raise BadRequestError(
            "input: expected texts, found something else, which Ollama does not take. Send the texts."
        )
    body: Json = {"model": model, "input": request.input if isinstance(request.input, str) else list(request.inputs)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        note("user", "dropped", "the server has no such parameter")
    given = request.extra.get("options")
    options = {
        **(given if isinstance(given, dict) else {}),
        **{name: value for name, value in request.extra.items() if name in OWN_OPTIONS},
    }
    if options:
        body["options"] = options
    body |= {name: request.extra[name] for name in ("truncate", "keep_alive") if name in request.extra}
    for name in request.extra.keys() - OWN_OPTIONS - {"truncate", "keep_alive", "options"}:
        note(name[:80], "dropped", "not a parameter of the server's")
    return body
