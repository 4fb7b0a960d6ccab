"""Write a tiny llama model with random weights, for a real server to run in tests: `python tiny_model.py OUT.gguf`.

Random weights say random things. To have them end, and to have tool calls and JSON come out whole, the first
dimension of every token's embedding is a large constant that all layers leave alone, so that the first column of the
output matrix works as a bias for each token: the end, `<tool_call>` and the marks of JSON are likely, bytes are not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

CONTEXT, WIDTH, LAYERS, HEADS, INNER = 2048, 64, 2, 4, 128
BIAS_SOURCE = 6.0
WORDS = [
    "the",
    "a",
    "to",
    "of",
    "and",
    "is",
    "sky",
    "blue",
    "because",
    "light",
    "hello",
    "world",
    "Paris",
    "weather",
    "été",
    "你好",
    "😀",
]
TEMPLATE = """
{%- if tools %}<|im_start|>system
{%- for message in messages if message.role == 'system' %}{{ message.content }}{% endfor %}
# Tools
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.role == 'assistant' %}<|im_start|>assistant
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif not tools or message.role != 'system' %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@dataclass
class Vocabulary:
    """Tokens with what the file says of each, and how likely each is."""

    texts: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)

    def add(self, text: str, kind: gguf.TokenType, bias: float, score: float = 0.0) -> None:
        self.texts.append(text)
        self.scores.append(score)
        self.kinds.append(int(kind))
        self.biases.append(bias)


def vocabulary() -> Vocabulary:
    """Control tokens first (their places are named in the file), then bytes, words and letters."""
    tokens = Vocabulary()
    kind = gguf.TokenType
    tokens.add("<unk>", kind.UNKNOWN, -9.0)
    for text, bias in (("<s>", -9.0), ("</s>", -9.0), ("<|im_start|>", -9.0), ("<|im_end|>", 3.0)):
        tokens.add(text, kind.CONTROL, bias)
    for text, bias in (("<tool_call>", 2.0), ('<tool_call>\n{"name": "', 2.0), ("</tool_call>", -1.0)):
        tokens.add(text, kind.USER_DEFINED, bias)
    for byte in range(256):
        tokens.add(f"<0x{byte:02X}>", kind.BYTE, -9.0)
    for place, word in enumerate(WORDS):
        tokens.add(f"\u2581{word}", kind.NORMAL, 1.5, -1.0 - place)
    for place, letter in enumerate(["\u2581", *map(chr, range(33, 127))]):
        tokens.add(letter, kind.NORMAL, 2.0 if letter in '{}[]",:' else -1.5, -100.0 - place)
    return tokens


def write(path: Path) -> None:
    """Write the model to `path`: about half a megabyte."""
    tokens = vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer, tokens)
    _put_weights(writer, tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, tokens: Vocabulary) -> None:
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens.texts))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text in tokens.texts])
    writer.add_token_scores(tokens.scores)
    writer.add_token_types(tokens.kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(4)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def _put_weights(writer: gguf.GGUFWriter, tokens: Vocabulary) -> None:
    chance = np.random.default_rng(0)

    def random(*shape: int) -> np.ndarray:
        return (chance.standard_normal(shape) * 0.08).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    embedding, output = random(len(tokens.texts), WIDTH), random(len(tokens.texts), WIDTH)
    embedding[:, 0] = BIAS_SOURCE
    output[:, 0] = np.array(tokens.biases, dtype=np.float32) / WIDTH**0.5
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", ones)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", random(WIDTH, WIDTH))
        for name in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", random(INNER, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", random(WIDTH, INNER))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
