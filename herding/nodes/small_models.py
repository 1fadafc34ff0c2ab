"""Good models of the hub for a small machine, to choose from.

The architectures are those that the engine runs. Sizes are of the weights in bfloat16 as the hub has them.
"""

from __future__ import annotations

from typing import Final

from herding.values import SmallModel

_GB: Final = 10**9
_CONTEXT: Final = 4096
"""The tokens that the memory of a model is for."""


def _model(
    id: str,
    parameters: str,
    download: float,
    context: int,
    license: str,
    *,
    kib_per_token: int,
    note: str,
) -> SmallModel:
    """Return a model whose files have `download` GB, and whose cache takes `kib_per_token` for each token."""
    files = int(download * _GB)
    memory = files + kib_per_token * 1024 * min(_CONTEXT, context)
    gated = license in ("gemma", "llama3.2")
    return SmallModel(id, parameters, files, memory, context, license, gated=gated, note=note)


SMALL_MODELS: Final = (
    _model(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "135M",
        0.27,
        8_192,
        "apache-2.0",
        kib_per_token=23,
        note="Short chats and one-sentence summaries. Comes with Herding.",
    ),
    _model(
        "google/gemma-3-270m-it",
        "270M",
        0.54,
        32_768,
        "gemma",
        kib_per_token=18,
        note="Follows short instructions; good to fine-tune.",
    ),
    _model(
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        "360M",
        0.73,
        8_192,
        "apache-2.0",
        kib_per_token=40,
        note="Chats, rewriting and summaries in English.",
    ),
    _model(
        "Qwen/Qwen3-0.6B",
        "0.6B",
        1.5,
        40_960,
        "apache-2.0",
        kib_per_token=112,
        note="Over 100 languages, tools, optional reasoning.",
    ),
    _model(
        "google/gemma-3-1b-it",
        "1B",
        2.0,
        32_768,
        "gemma",
        kib_per_token=26,
        note="Fluent text and instructions in English.",
    ),
    _model(
        "meta-llama/Llama-3.2-1B-Instruct",
        "1.2B",
        2.5,
        131_072,
        "llama3.2",
        kib_per_token=32,
        note="Summaries and rewriting; tools; 8 languages.",
    ),
    _model(
        "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        "1.7B",
        3.4,
        8_192,
        "apache-2.0",
        kib_per_token=192,
        note="Chats, rewriting and summaries in English.",
    ),
    _model(
        "Qwen/Qwen3-1.7B",
        "1.7B",
        4.1,
        40_960,
        "apache-2.0",
        kib_per_token=112,
        note="Over 100 languages, tools, JSON, optional reasoning.",
    ),
    _model(
        "ibm-granite/granite-3.3-2b-instruct",
        "2.5B",
        5.1,
        131_072,
        "apache-2.0",
        kib_per_token=80,
        note="Extraction, classification and tools; 12 languages.",
    ),
    _model(
        "HuggingFaceTB/SmolLM3-3B",
        "3.1B",
        6.2,
        65_536,
        "apache-2.0",
        kib_per_token=72,
        note="Fully open; tools, optional reasoning, 6 languages.",
    ),
    _model(
        "meta-llama/Llama-3.2-3B-Instruct",
        "3.2B",
        6.4,
        131_072,
        "llama3.2",
        kib_per_token=112,
        note="Chats, summaries and tools; 8 languages.",
    ),
    _model(
        "microsoft/Phi-4-mini-instruct",
        "3.8B",
        7.7,
        131_072,
        "mit",
        kib_per_token=128,
        note="Mathematics, logic and code.",
    ),
    _model(
        "Qwen/Qwen3-4B-Instruct-2507",
        "4B",
        8.1,
        262_144,
        "apache-2.0",
        kib_per_token=144,
        note="The best all-rounder of this size: JSON, tools, code, over 100 languages.",
    ),
    _model(
        "google/gemma-3-4b-it",
        "4.3B",
        8.6,
        131_072,
        "gemma",
        kib_per_token=136,
        note="Fluent text in over 140 languages.",
    ),
)
