"""The vendors: one frozen row each. Facts about a vendor belong here, with their source, and not into code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..pipeline.errors import ConfigError
from .azure import azure_place
from .dialect import (
    AZURE,
    COMPATIBLE,
    DEEPSEEK,
    GROQ,
    HUGGINGFACE,
    LLAMACPP,
    MISTRAL,
    OLLAMA,
    OPENAI,
    OPENROUTER,
    SIMULATED,
    TOGETHER,
    VLLM,
    XAI,
    Dialect,
)
from .google_place import google_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..pipeline.call import Call

Auth = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "google"]
"""`google`: an API key goes as `x-goog-api-key`, everything else as a bearer token."""


@dataclass(frozen=True, slots=True)
class Row:
    """One vendor."""

    name: str
    docs: str
    """Where the vendor describes its API: the source of this row."""
    base_url: str | None
    """Codecs append their path. None: the user must say it."""
    base_url_env: str | None = None
    """The vendor's own variable for another base URL, without our codecs' path."""
    key_variables: tuple[str, ...] = ()
    """The vendor's own variables for the key; the first that is set counts."""
    needs_key: bool = True
    auth: Auth = "bearer"
    codec: Literal["openai", "anthropic", "bedrock", "cohere", "gemini", "ollama", "vertex"] = "openai"
    dialect: Dialect = COMPATIBLE
    models_path: str = "/models"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""
    default_model: str | None = None
    """A small chat model to begin with, where the vendor always has it; None where the user decides what is served."""
    aliases: tuple[str, ...] = ()
    place: Callable[[str, str, Call | None], str] | None = None
    """(base URL, a codec's path, call) -> the path behind the base URL, where addresses hold more than a codec knows."""


ROWS: tuple[Row, ...] = (
    Row(
        name="openai",
        docs="https://platform.openai.com/docs/api-reference/introduction",
        base_url="https://api.openai.com/v1",
        base_url_env="OPENAI_BASE_URL",
        key_variables=("OPENAI_API_KEY",),
        dialect=OPENAI,
        default_model="gpt-4o-mini",
    ),
    Row(
        name="anthropic",
        docs="https://docs.anthropic.com/en/api/overview",
        base_url="https://api.anthropic.com",
        base_url_env="ANTHROPIC_BASE_URL",
        key_variables=("ANTHROPIC_API_KEY",),
        auth="x-api-key",
        codec="anthropic",
        dialect=Dialect(name="anthropic", operations=frozenset({"chat"})),
        models_path="/v1/models",
        headers={"anthropic-version": "2023-06-01"},
        default_model="claude-haiku-4-5",
    ),
    Row(
        name="azure",
        docs="https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference",
        base_url=None,
        base_url_env="AZURE_OPENAI_ENDPOINT",
        key_variables=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
        auth="api-key",
        dialect=AZURE,
        aliases=("azure_openai", "azure-openai"),
        place=azure_place,
    ),
    Row(
        name="gemini",
        docs="https://ai.google.dev/api",
        base_url="https://generativelanguage.googleapis.com",
        base_url_env="GOOGLE_GEMINI_BASE_URL",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        auth="x-goog-api-key",
        codec="gemini",
        dialect=Dialect(
            name="gemini",
            operations=frozenset({"chat", "embeddings"}),
            embedding_inputs=100,  # "at most 100 requests can be in one batch", its error says
        ),
        models_path="/v1beta/models",
        default_model="gemini-2.5-flash",
        aliases=("google",),
        place=google_place,
    ),
    Row(
        name="vertex",
        docs="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        base_url="https://aiplatform.googleapis.com",
        base_url_env="GOOGLE_VERTEX_BASE_URL",
        needs_key=False,
        auth="google",
        codec="vertex",
        dialect=Dialect(
            name="vertex",
            operations=frozenset({"chat", "embeddings"}),
            # Source: https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings#api_limits
            embedding_inputs=250,
            embedding_tokens=20_000,
        ),
        models_path="/v1beta1/publishers/google/models",
        aliases=("vertex_ai",),
        place=google_place,
    ),
    Row(
        name="bedrock",
        docs="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        base_url=None,  # the region's
        base_url_env="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        needs_key=False,  # without one, requests are signed
        codec="bedrock",
        dialect=Dialect(name="bedrock", operations=frozenset({"chat", "embeddings"})),
        models_path="/foundation-models",
        aliases=("aws_bedrock", "aws-bedrock", "amazon_bedrock"),
    ),
    Row(
        name="groq",
        docs="https://console.groq.com/docs/openai",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        dialect=GROQ,
        default_model="llama-3.1-8b-instant",
    ),
    Row(
        name="openrouter",
        docs="https://openrouter.ai/docs/api-reference/overview",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        dialect=OPENROUTER,
        default_model="openai/gpt-4o-mini",
    ),
    Row(
        name="together",
        docs="https://docs.together.ai/docs/openai-api-compatibility",
        base_url="https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY",),
        dialect=TOGETHER,
        aliases=("together_ai", "togetherai"),
        default_model="meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ),
    Row(
        name="deepseek",
        docs="https://api-docs.deepseek.com/",
        base_url="https://api.deepseek.com/v1",
        key_variables=("DEEPSEEK_API_KEY",),
        dialect=DEEPSEEK,
        default_model="deepseek-chat",
    ),
    Row(
        name="mistral",
        docs="https://docs.mistral.ai/api",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        dialect=MISTRAL,
        aliases=("mistralai",),
        default_model="mistral-small-latest",
    ),
    Row(
        name="huggingface",
        docs="https://huggingface.co/docs/inference-providers/tasks/chat-completion",
        base_url="https://router.huggingface.co/v1",
        key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        dialect=HUGGINGFACE,
        aliases=("hf",),
        default_model="meta-llama/Llama-3.1-8B-Instruct",
    ),
    Row(
        name="xai",
        docs="https://docs.x.ai/docs/api-reference",
        base_url="https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        dialect=XAI,
        default_model="grok-4-1-fast-non-reasoning",
    ),
    Row(
        name="vllm",
        docs="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        base_url="http://localhost:8000/v1",
        key_variables=("VLLM_API_KEY",),
        needs_key=False,
        dialect=VLLM,
        aliases=("hosted_vllm",),
    ),
    Row(
        name="llamacpp",
        docs="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        base_url="http://localhost:8080/v1",
        key_variables=("LLAMA_API_KEY",),
        needs_key=False,
        dialect=LLAMACPP,
        aliases=("llama_cpp", "llama.cpp"),
    ),
    Row(
        name="lmstudio",
        docs="https://lmstudio.ai/docs/developer/openai-compat",
        base_url="http://localhost:1234/v1",
        needs_key=False,
        dialect=Dialect(name="lmstudio", operations=frozenset({"chat", "embeddings"})),
        aliases=("lm_studio",),
    ),
    Row(
        name="ollama",
        docs="https://docs.ollama.com/api",
        base_url="http://localhost:11434",
        base_url_env="OLLAMA_HOST",
        key_variables=("OLLAMA_API_KEY",),
        needs_key=False,
        codec="ollama",
        dialect=OLLAMA,  # of its OpenAI endpoint, which a base URL that ends in /v1 asks for
        models_path="/api/tags",
    ),
    Row(
        name="cohere",
        docs="https://docs.cohere.com/reference/about",
        base_url="https://api.cohere.com",
        base_url_env="CO_API_URL",
        key_variables=("CO_API_KEY", "COHERE_API_KEY"),
        codec="cohere",
        dialect=Dialect(
            name="cohere",
            operations=frozenset({"chat", "embeddings", "rerank"}),
            embedding_inputs=96,  # Source: https://docs.cohere.com/reference/embed
        ),
        models_path="/v1/models?page_size=1000",
        aliases=("cohere_chat",),
        default_model="command-r7b-12-2024",
    ),
    Row(
        name="openai_compatible",
        docs="https://platform.openai.com/docs/api-reference/chat",
        base_url=None,
        needs_key=False,
        aliases=("openai-compatible", "compatible"),
    ),
    Row(
        name="simulated",
        docs="https://platform.openai.com/docs/api-reference/chat",
        base_url="http://simulated.invalid/v1",
        needs_key=False,
        dialect=SIMULATED,
        default_model="gpt-sim",
    ),
)


def row_of(name: str) -> Row:
    """The row of a vendor, by its name or an alias. Raises `ConfigError` for a name that is in no row."""
    found = _BY_NAME.get(name.lower())
    if found is None:
        raise ConfigError(
            f"Expected a vendor's name, found {name!r}. Known are {', '.join(row.name for row in ROWS)}; any other server is `openai_compatible`."
        )
    return found


_BY_NAME: Mapping[str, Row] = {name: row for row in ROWS for name in (row.name, *row.aliases)}
