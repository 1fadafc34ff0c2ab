"""Loads a transformers checkpoint from a directory and sizes its KV cache."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from herding.engine.errors import LoadError
from herding.engine.fetching.hub_cache import TOKENIZERS
from herding.engine.options import PACKED, Quantization
from herding.engine.progress import ProgressBar, Report, StageProgress
from herding.values import Parameters

_CPU_SHARE = 0.25
_GPU_SHARE = 0.7
"""Shares of the memory left beside the weights that the KV cache may take."""

_CPU_CACHE = 256 * 2**20
_CPU_PART, _GPU_PART = 8, 3
"""A cache on the CPU that holds one full context takes at least 256 MiB, if the contexts are that long, and at most an
eighth of the memory for all models. It takes the machine's memory only as far as it is used. On a GPU it takes up to a
third at once."""

_FULL_CONTEXTS = 8
"""Responses of full length that the cache holds at the same time, if the memory allows."""
_PAGE_TOKENS = 64
_RESERVE = 1.25
"""The batching worker accepts no new prompts into the last 15 % of its cache."""
_STEP_TOKENS = 512
_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The size of the KV cache: the context of one response, cache pages, and the most tokens read in one step.

    `size` is in bytes.
    """

    context: int
    pages: int
    size: int = 0
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


def load(
    path: Path, *, quantization: str, max_context: int | None, report: Report, budget: int | None = None
) -> Checkpoint:
    """Load the model in the checked directory `path` without running code from there.

    `budget` is the memory of all models together in bytes.
    """
    config = _quantization_config(quantization)
    report("reading tokenizer", None)
    tokenizer = _read_tokenizer(path)
    model = _read_model(path, config, report)
    cache = plan_cache(
        model.config.get_text_config(),
        item_bytes=model.dtype.itemsize,
        memory=_cache_memory(model.device),
        max_context=max_context,
        budget=budget,
        on_gpu=model.device.type == "cuda",
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


def measure(path: Path, *, quantization: Quantization, max_context: int | None, budget: int) -> int:
    """Return the bytes that the model in a checked directory will take, with its cache; at least those of its weights.

    Raises LoadError if a package or the hardware that it needs is missing.
    """
    _quantization_config(quantization)
    check_quantization(path)
    config = _read_config(path)
    weights = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    item_bytes = getattr(config.dtype, "itemsize", 2)
    on_gpu = torch.cuda.is_available()
    memory = budget if on_gpu else max(0, budget - weights)
    plan = plan_cache(
        config.get_text_config(),
        item_bytes=item_bytes,
        memory=memory,
        max_context=max_context,
        budget=budget,
        on_gpu=on_gpu,
    )
    return int(weights * PACKED[quantization]) + plan.size


def plan_cache(
    config: Any,
    *,
    item_bytes: int,
    memory: int,
    max_context: int | None,
    budget: int | None = None,
    on_gpu: bool = False,
) -> CachePlan:
    """Plan the cache for a model's text config, `item_bytes` per number and `memory` bytes at most.

    With a `budget` for several models it is smaller: one full context, or what is usual for small models.
    Raises LoadError if not even a short response fits.
    """
    context = min(_model_context(config), max_context or _model_context(config))
    bytes_per_token = _bytes_per_token(config, item_bytes)
    if budget is not None:
        one = int(context * _RESERVE + _PAGE_TOKENS * (_FULL_CONTEXTS + 1)) * bytes_per_token
        memory = min(memory, budget // _GPU_PART if on_gpu else max(_CPU_CACHE, min(one, budget // _CPU_PART)))
    affordable = memory // bytes_per_token
    tokens = min(int(_FULL_CONTEXTS * context * _RESERVE), affordable)
    context = min(context, int(tokens / _RESERVE) - _PAGE_TOKENS)
    if context < _PAGE_TOKENS:
        raise LoadError(f"Not enough memory for responses: {memory >> 20} MiB hold {affordable} tokens.")
    pages = math.ceil(tokens / _PAGE_TOKENS) + _FULL_CONTEXTS
    return CachePlan(context=context, pages=pages, size=pages * _PAGE_TOKENS * bytes_per_token)


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


def _read_model(directory: Path, quantization: Any, report: Report) -> Any:
    progress = StageProgress("reading weights", report)
    previous = logging.set_tqdm_hook(lambda _factory, items, options: ProgressBar(progress, *items, **options))
    reader: Any = AutoModelForCausalLM  # whose types do not know `output_loading_info`
    try:
        model, found = reader.from_pretrained(
            directory,
            dtype="auto",
            device_map="auto",
            trust_remote_code=False,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            quantization_config=quantization,
            output_loading_info=True,
        )
    except RuntimeError as error:
        if "mismatched" in str(error) or "size mismatch" in str(error):
            raise LoadError(f"The weights in {directory} do not fit its config.json.") from error
        raise
    finally:
        logging.set_tqdm_hook(previous)
    if missing := sorted(found["missing_keys"]):  # the library fills them with random numbers
        raise LoadError(
            f"The weights in {directory} lack {len(missing)} tensors that '{type(model).__name__}' needs, such as "
            f"{missing[0]}. It may not be a model that generates text."
        )
    return model


def _read_config(path: Path) -> Any:
    """Return the configuration of a model; raise LoadError unless it generates text and transformers has its code."""
    given = json.loads((path / "config.json").read_text(encoding="utf-8"))
    kind, names = given.get("model_type"), [str(name) for name in given.get("architectures") or ()]
    if not kind:
        raise LoadError(f"{path / 'config.json'} names no 'model_type', so it is not a transformers model.")
    if kind not in CONFIG_MAPPING_NAMES:
        raise LoadError(
            f"transformers {transformers.__version__} does not support models of the type '{kind}' ({path}). "
            "Choose another model, or install a newer transformers."
        )
    classes = _classes(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind, ()))
    if not classes or (names and not any(name in classes or name.endswith(_WRITERS) for name in names)):
        what = f"'{names[0] if names else kind}'"
        raise LoadError(
            f"{path} is {what}, which does not generate text from a prompt. Choose a model for text generation. "
            "Models that make embeddings are set under 'embedding_models' of the node."
        )
    return AutoConfig.from_pretrained(path, trust_remote_code=False, local_files_only=True)


_WRITERS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


def _classes(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _read_tokenizer(path: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        if not any((path / name).is_file() for name in TOKENIZERS):
            raise LoadError(
                f"{path} has no tokenizer (such as tokenizer.json). Copy the tokenizer's files of the model there."
            ) from error
        raise LoadError(f"Can't read the tokenizer in {path}. {type(error).__name__}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, without its further advice."""
    text = str(error).strip().partition("\n")[0]
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"


_MAX_REASON = 300


def _quantization_config(kind: str) -> Any:
    if kind == "none":
        return None
    if not torch.cuda.is_available():
        raise LoadError(f"Quantization '{kind}' needs an NVIDIA GPU. Set 'quantization: none' for this node.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise LoadError(f"Quantization '{kind}' needs a package. Install it with: pip install bitsandbytes")
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit"
    )


_QUANTIZERS = {
    "gptq": (("gptqmodel",), False),
    "awq": (("gptqmodel",), True),
    "bitsandbytes": (("bitsandbytes",), True),
    "aqlm": (("aqlm",), True),
    "hqq": (("hqq",), False),
    "compressed-tensors": (("compressed_tensors",), False),
    "fp8": ((), True),
    "mxfp4": (("kernels",), True),
}
"""The packages that read weights of a method, and whether they need an NVIDIA GPU."""


def check_quantization(path: Path) -> None:
    """Raise LoadError if the weights in a directory are quantized, and what reads them is missing."""
    config = json.loads((path / "config.json").read_text(encoding="utf-8")).get("quantization_config") or {}
    method = str(config.get("quant_method", ""))
    packages, needs_gpu = _QUANTIZERS.get(method, ((), False))
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    name = method.upper() if method in ("gptq", "awq", "fp8") else method
    if needs_gpu and not torch.cuda.is_available():
        raise LoadError(f"The weights are quantized with {name}, which needs an NVIDIA GPU. This machine has none.")
    if missing:
        install = " ".join(missing).replace("_", "-")
        raise LoadError(f"The weights are quantized with {name}. Install what reads them: pip install {install}")


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
