"""Loads a transformers checkpoint from a directory or a GGUF file and sizes its KV cache."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, GgufConfig
from transformers.utils import logging

from herding.engine.errors import LoadError
from herding.engine.progress import ProgressBar, Report, StageProgress
from herding.values import Parameters

_CPU_SHARE = 0.25
_GPU_SHARE = 0.7
"""Shares of the memory left beside the weights that the KV cache may take."""

_FULL_CONTEXTS = 8
"""Responses of full length that the cache holds at the same time, if the memory allows."""
_PAGE_TOKENS = 64
_RESERVE = 1.25
"""The batching worker accepts no new prompts into the last 15 % of its cache."""
_STEP_TOKENS = 512
_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The size of the KV cache: the context of one response, cache pages, and the most tokens read in one step."""

    context: int
    pages: int
    page_tokens: int = _PAGE_TOKENS
    step_tokens: int = _STEP_TOKENS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in memory with everything needed to generate; `decoder` is a tokenizer for another thread."""

    model: Any
    tokenizer: Any
    decoder: Any
    cache: CachePlan
    vocabulary_size: int
    eos_tokens: frozenset[int]
    defaults: Parameters


def load(path: Path, *, quantization: str, max_context: int | None, report: Report) -> Checkpoint:
    """Load the model in the checked directory or GGUF file `path` without running code from there."""
    directory, options = _model_options(path, quantization)
    report("reading tokenizer", None)
    tokenizer_file = {"gguf_file": path.name} if path.is_file() else {}
    tokenizer = AutoTokenizer.from_pretrained(
        directory, trust_remote_code=False, local_files_only=True, **tokenizer_file
    )
    model = _read_model(directory, options, report)
    cache = plan_cache(
        model.config.get_text_config(),
        item_bytes=model.dtype.itemsize,
        memory=_cache_memory(model.device),
        max_context=max_context,
    )
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        decoder=copy.deepcopy(tokenizer),
        cache=cache,
        vocabulary_size=model.get_input_embeddings().num_embeddings,
        eos_tokens=_eos_tokens(model, tokenizer),
        defaults=_defaults(model.generation_config),
    )


def plan_cache(config: Any, *, item_bytes: int, memory: int, max_context: int | None) -> CachePlan:
    """Plan the cache for a model's text config, `item_bytes` per number and `memory` bytes at most.

    Raises LoadError if not even a short response fits.
    """
    context = min(_model_context(config), max_context or _model_context(config))
    affordable = memory // _bytes_per_token(config, item_bytes)
    tokens = min(int(_FULL_CONTEXTS * context * _RESERVE), affordable)
    context = min(context, int(tokens / _RESERVE) - _PAGE_TOKENS)
    if context < _PAGE_TOKENS:
        raise LoadError(f"Not enough memory for responses: {memory >> 20} MiB hold {affordable} tokens.")
    return CachePlan(context=context, pages=math.ceil(tokens / _PAGE_TOKENS) + _FULL_CONTEXTS)


def _model_context(config: Any) -> int:
    """Return the context length in tokens that the model was made for."""
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        if isinstance(length := getattr(config, name, None), int) and length > 0:
            return length
    return _DEFAULT_CONTEXT


def _bytes_per_token(config: Any, item_bytes: int) -> int:
    """Return the bytes for the cache of all layers, one layer's attention copy, and the attention mask of a step."""
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    cache = 2 * config.num_hidden_layers * kv_heads * head_size
    attention_copy = (2 * heads + kv_heads) * head_size
    return int((cache + attention_copy + _STEP_TOKENS) * item_bytes + 16)


def _cache_memory(device: torch.device) -> int:
    """Return the bytes that the cache may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _GPU_SHARE)
    return int(psutil.virtual_memory().available * _CPU_SHARE)


def _model_options(path: Path, quantization: str) -> tuple[Path, dict[str, Any]]:
    """Return the directory of a model and the options that read it. The packed weights of a GGUF file are unpacked."""
    if not path.is_file():
        config = _quantization_config(quantization)
        return path, {"dtype": "auto", "use_safetensors": True, "quantization_config": config}
    if quantization != "none":
        raise LoadError(f"{path} is quantized already. Start the engine with --quantization none.")
    packed = GgufConfig(dequantize=True)
    return path.parent, {"dtype": torch.bfloat16, "gguf_file": path.name, "quantization_config": packed}


def _read_model(directory: Path, options: dict[str, Any], report: Report) -> Any:
    progress = StageProgress("reading weights", report)
    previous = logging.set_tqdm_hook(lambda _factory, items, options: ProgressBar(progress, *items, **options))
    try:
        return AutoModelForCausalLM.from_pretrained(
            directory,
            device_map="auto",
            trust_remote_code=False,
            local_files_only=True,
            attn_implementation="sdpa",
            **options,
        )
    finally:
        logging.set_tqdm_hook(previous)


def _quantization_config(kind: str) -> Any:
    if kind == "none":
        return None
    if not torch.cuda.is_available():
        raise LoadError(f"Quantization '{kind}' needs an NVIDIA GPU. Start the engine with --quantization none.")
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit"
    )


def _eos_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the end-of-sequence tokens of the generation config and of the tokenizer."""
    ids = model.generation_config.eos_token_id
    tokens = {ids} if isinstance(ids, int) else set(ids or ())
    return frozenset(tokens | {tokenizer.eos_token_id} - {None})


def _defaults(config: Any) -> Parameters:
    """Return the model's own sampling parameters; greedy if it has none."""
    if not config.do_sample:
        return Parameters(temperature=0.0, max_tokens=config.max_new_tokens)
    temperature = 1.0 if config.temperature is None else float(config.temperature)
    return Parameters(temperature, config.top_p, config.top_k, config.max_new_tokens)
