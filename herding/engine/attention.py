"""Attention on the CPU for a batch of responses with one shared cache of pages.

The attention that the library offers there computes each query against the tokens of all responses, and masks those of
the others. This one computes each response by itself, which is faster the more and the longer they are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "herding_paged"
_ARCHITECTURES = frozenset(
    {
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "smollm3",
        "phi3",
        "granite",
        "olmo2",
        "olmo3",
        "gemma",
        "stablelm",
        "helium",
    }
)
"""Model types whose attention is nothing but softmax over all earlier tokens, where no window is set."""


def suits(model: Any) -> bool:
    """Return whether the attention here computes what a model needs."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ("full_attention",))
    window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    return (
        model.device.type == "cpu"
        and config.model_type in _ARCHITECTURES
        and layers == {"full_attention"}
        and not window
    )


def paged_attention(  # noqa: PLR0917  the interface of the library
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  the library passes it; a response sees its own tokens only
    scaling: float | None = None,
    cache: Any = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """Return the attention of all queries, in rows of heads, as the interface of the library wants it."""
    key, value = cache.update(key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=arguments)
    queries, keys = arguments["cu_seq_lens_q"].tolist(), arguments["cu_seq_lens_k"].tolist()
    parts = [
        _attend(query[:, :, queries[i] : queries[i + 1]], key[:, :, keys[i] : end], value[:, :, keys[i] : end], scaling)
        for i, end in enumerate(keys[1:])
    ]
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


def _attend(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    """Return the attention of one response, whose last tokens are the queries."""
    batch, heads, length, size = query.shape
    if length == 1:  # heads that share keys are the rows of one query
        rows = query.reshape(batch, key.shape[1], -1, size)
        return scaled_dot_product_attention(rows, key, value, scale=scaling).reshape(batch, heads, 1, size)
    shared = heads != key.shape[1]
    if length == key.shape[2]:
        return scaled_dot_product_attention(query, key, value, scale=scaling, is_causal=True, enable_gqa=shared)
    seen = torch.ones(length, key.shape[2], dtype=torch.bool).tril(key.shape[2] - length)
    return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling, enable_gqa=shared)


AttentionInterface.register(NAME, paged_attention)
