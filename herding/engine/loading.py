"""A transformers model from a directory on disk."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging

from herding.engine.progress import Bar, Fraction, Report
from herding.engine.refusals import LoadError
from herding.engine.sizing import Sizing, plan
from herding.values import Parameters

_CPU_SHARE = 0.25
_GPU_SHARE = 0.7
"""Shares of the memory left beside the weights that the cache of running answers may take."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory with all that generating with it takes."""

    model: Any
    tokenizer: Any
    decoder: Any
    sizing: Sizing
    vocabulary: int
    ends: frozenset[int]
    defaults: Parameters


def load(path: Path, *, quantization: str, max_context: int | None, report: Report) -> Loaded:
    """Load the model in the checked directory `path`, running no code from there."""
    config = _quantization(quantization)
    report("reading tokenizer", None)
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    model = _read_model(path, config, report)
    return _describe(model, tokenizer, max_context)


def _read_model(path: Path, quantization: Any, report: Report) -> Any:
    fraction = Fraction("reading weights", report)
    previous = logging.set_tqdm_hook(lambda _factory, items, options: Bar(fraction, *items, **options))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            dtype="auto",
            device_map="auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            attn_implementation="sdpa",
            quantization_config=quantization,
        )
    finally:
        logging.set_tqdm_hook(previous)
    return model


def _quantization(kind: str) -> Any:
    if kind == "none":
        return None
    if not torch.cuda.is_available():
        raise LoadError(f"Quantization '{kind}' needs an NVIDIA GPU. Start the engine with --quantization none.")
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit"
    )


def _describe(model: Any, tokenizer: Any, max_context: int | None) -> Loaded:
    config = model.config.get_text_config()
    sizing = plan(config, item_bytes=model.dtype.itemsize, memory=_memory(model.device), max_context=max_context)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        decoder=copy.deepcopy(tokenizer),
        sizing=sizing,
        vocabulary=model.get_input_embeddings().num_embeddings,
        ends=_ends(model, tokenizer),
        defaults=_defaults(model.generation_config),
    )


def _memory(device: torch.device) -> int:
    """Bytes that the cache may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _GPU_SHARE)
    return int(psutil.virtual_memory().available * _CPU_SHARE)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer, as the model's generation config and its tokenizer name them."""
    ids = model.generation_config.eos_token_id
    ends = {ids} if isinstance(ids, int) else set(ids or ())
    return frozenset(ends | {tokenizer.eos_token_id} - {None})


def _defaults(config: Any) -> Parameters:
    """The model's own sampling parameters; greedy where it names none."""
    if not config.do_sample:
        return Parameters(temperature=0.0, max_tokens=config.max_new_tokens)
    temperature = 1.0 if config.temperature is None else float(config.temperature)
    return Parameters(temperature, config.top_p, config.top_k, config.max_new_tokens)
