"""Samples the next token of each request of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitsProcessorList

_TOP_CANDIDATES = 1024
_SEED_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """The settings for one token; the same seed and scores give the same token."""

    temperature: float
    top_p: float
    top_k: int
    seed: int


class Sampler(ContinuousBatchingLogitsProcessor):
    """Samples a token for each request that is not greedy and gives it the highest score.

    The batch then takes the best token of each row. So a greedy response equals that of plain generation, a request
    with a seed samples the same tokens in any batch, and the vocabulary is sorted only for requests that need it.
    """

    def __init__(self) -> None:
        self.supported_kwargs = {"temperature": float, "top_p": float, "top_k": int, "seed": int}
        self.ignored_kwargs = ()
        self._rows: list[tuple[int, SamplingSettings]] = []

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Leave the batch tensor empty: the settings are kept in Python."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> Tensor:
        """Collect the sampling requests of the next step; rows have the order of the requests."""
        states = [request.state for request in requests_with_new_token]
        self._rows = [
            (row, _settings(state.logit_processor_kwargs, state.position_offset))
            for row, state in enumerate(states)
            if state.logit_processor_kwargs
        ]
        return torch.zeros(len(states), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:  # noqa: ARG002  (required by the library)
        """Set the scores (rows x vocabulary) of the sampled tokens to infinity."""
        for row, settings in self._rows:
            scores[row, sample_token(scores[row], settings)] = float("inf")
        return scores


def sampler_list() -> ContinuousBatchingLogitsProcessorList:
    """Return the logits processors of a batch, which is only the sampler."""
    processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([Sampler()]))
    processors.tensors_required = 1
    return processors


def sample_token(scores: Tensor, settings: SamplingSettings) -> int:
    """Sample one token from the scores of the vocabulary: top-k, then top-p, as in plain generation.

    Uses the exponential race: the token with the highest ratio of probability and an exponential random number wins.
    """
    values, tokens, log_total = _candidates(scores.float().cpu() / settings.temperature, settings)
    probabilities = torch.exp(values - log_total)
    if settings.top_p < 1:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = torch.where(before < settings.top_p, probabilities, 0.0)
    generator = torch.Generator().manual_seed(settings.seed)
    noise = torch.empty_like(probabilities).exponential_(generator=generator)
    return int(tokens[torch.argmax(probabilities / noise)])


def _candidates(scores: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores and tokens that may be sampled, sorted if top-p applies, and the log of their total weight."""
    size = scores.numel()
    if 0 < settings.top_k < size:
        values, tokens = torch.topk(scores, settings.top_k)
        return values, tokens, torch.logsumexp(values, dim=-1)
    log_total = torch.logsumexp(scores, dim=-1)
    if settings.top_p >= 1:
        return scores, torch.arange(size), log_total
    values, tokens = torch.topk(scores, min(_TOP_CANDIDATES, size))
    if float(torch.exp(values - log_total).sum()) < settings.top_p:
        values, tokens = torch.sort(scores, descending=True)
    return values, tokens, log_total


def _settings(arguments: Mapping[str, Any], position: int) -> SamplingSettings:
    seed = (int(arguments["seed"]) + (position + 1) * _SEED_STEP) % 2**63
    return SamplingSettings(arguments["temperature"], arguments["top_p"], arguments["top_k"], seed)
