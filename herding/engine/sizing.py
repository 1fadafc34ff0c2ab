"""How much of a model's context fits into memory, for how many answers at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from herding.engine.refusals import LoadError

_FULL_CONTEXTS = 8
"""So many answers of full length are held at the same time, where memory allows."""
_PAGE = 64
_SPARE = 1.25
"""The batcher takes no new prompts into the last 15 % of its cache."""
_STEP = 512
_FALLBACK_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class Sizing:
    """Tokens: the context of one answer, a cache page, and what one step of the model reads at most."""

    context: int
    pages: int
    page: int = _PAGE
    step: int = _STEP


def plan(config: Any, *, item_bytes: int, memory: int, max_context: int | None) -> Sizing:
    """Plan for a model's text config, `item_bytes` per number, and `memory` bytes that the cache may take."""
    context = min(context_of(config), max_context or context_of(config))
    affordable = memory // _bytes_per_token(config, item_bytes, _STEP)
    wanted = int(_FULL_CONTEXTS * context * _SPARE)
    tokens = min(wanted, affordable)
    context = min(context, int(tokens / _SPARE) - _PAGE)
    if context < _PAGE:
        raise LoadError(f"There is no memory left for answers: {memory >> 20} MiB hold {affordable} tokens.")
    return Sizing(context=context, pages=math.ceil(tokens / _PAGE) + _FULL_CONTEXTS)


def context_of(config: Any) -> int:
    """The context that the model was made for, in tokens."""
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        if isinstance(length := getattr(config, name, None), int) and length > 0:
            return length
    return _FALLBACK_CONTEXT


def _bytes_per_token(config: Any, item_bytes: int, step: int) -> int:
    """Cache of all layers, the copy that one layer's attention reads, and the attention mask of a step."""
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    cache = 2 * config.num_hidden_layers * kv_heads * size
    read = (2 * heads + kv_heads) * size
    return int((cache + read + step) * item_bytes + 16)
