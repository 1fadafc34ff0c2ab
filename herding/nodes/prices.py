"""Prices of models: those of the nodes file, else the list prices of known providers.

List prices are those that come with the installed package `genai-prices`; nothing is looked up on the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider
from pydantic import BeforeValidator, Field, model_validator

from herding.values import Usage, to_nano
from herding.yaml_files import StrictModel

MILLION = 1_000_000
ANY_MODEL = "*"
MAX_PRICE = 1_000_000

CLOSED = ("openai", "anthropic", "google", "x-ai")
"""Providers whose models run nowhere else, so that the id of a model tells its price behind any proxy."""

_OPEN_WEIGHTS = re.compile(r"oss|gemma|whisper|gpt-?2\b|grok-[12]\b", re.IGNORECASE)
"""Models of these providers that others run as well."""

_ROUTER = "router.huggingface.co"
"""This host names the provider at the end of the model id, after a colon."""

_Amount = Annotated[float, Field(ge=0, le=MAX_PRICE, allow_inf_nan=False)]


class Price(Protocol):
    """The price of a model on a node."""

    def cost(self, usage: Usage) -> int:
        """Return the cost of a request in nano-dollars."""


class ConfiguredPrice(StrictModel):
    """A price in the nodes file, in US dollars per million tokens and per request.

    What is left out is free, except that `cached` (input tokens that the node had in its cache) then costs as `input`.
    """

    input: _Amount | None = None
    output: _Amount | None = None
    cached: _Amount | None = None
    request: _Amount | None = None
    currency: Literal["USD"] = "USD"

    @model_validator(mode="after")
    def _has_a_price(self) -> ConfiguredPrice:
        if (self.input, self.output, self.cached, self.request) == (None,) * 4:
            raise ValueError("a price needs at least one of input, output, cached, request")
        return self

    def cost(self, usage: Usage) -> int:
        """Return the cost of a request in nano-dollars."""
        if not (self.input or self.output or self.cached or self.request):
            return 0
        cached = min(usage.cached_tokens, usage.input_tokens)
        rate = self.input if self.cached is None else self.cached
        dollars = (
            _exact(self.input) * (usage.input_tokens - cached)
            + _exact(rate) * cached
            + _exact(self.output) * usage.output_tokens
        ) / MILLION
        return to_nano(dollars + _exact(self.request))


FREE = ConfiguredPrice(input=0)
"""The price of models on our own engines."""


def _by_model(given: Any) -> Any:
    """Return prices by model; fields of one price are the price of all models."""
    if isinstance(given, Mapping) and given and not any(isinstance(value, Mapping) for value in given.values()):
        return {ANY_MODEL: given}
    return given


Prices = Annotated[dict[str, ConfiguredPrice], BeforeValidator(_by_model)]
"""The prices of a node: one for all its models, or one for each model id, with `*` for the others."""


@dataclass(frozen=True, slots=True)
class ListPrice:
    """The list price of a model of a provider."""

    provider: Provider
    model: ModelInfo

    def cost(self, usage: Usage) -> int:
        """Return the cost of a request in nano-dollars, at the present price."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cache_read_tokens": cached}
        priced = genai_prices.Usage(**{name: count for name, count in counts.items() if count})
        found = self.model.calc_price(priced, self.provider, genai_request_timestamp=datetime.now(UTC))
        return to_nano(found.total_price)


@lru_cache(maxsize=10_000)
def list_price(base_url: str, model: str) -> Price | None:
    """Return the list price of a model at the URL of an API, None if it is not known.

    The URL tells the provider. Behind an unknown URL, only ids of models that their provider alone runs are known.
    """
    snapshot, name, provider_id = get_snapshot(), model, None
    if urlsplit(base_url).hostname == _ROUTER and ":" in model:
        name, _, suffix = model.partition(":")
        provider_id = f"huggingface_{suffix}"
    try:
        provider = snapshot.find_provider(None, provider_id, None if provider_id else base_url)
    except LookupError:
        return _closed_price(name)
    return _priced(provider, provider.find_model(name, all_providers=snapshot.providers))


def _closed_price(model: str) -> Price | None:
    """Return the price of a model that its provider alone runs."""
    vendor, _, name = model.rpartition("/")
    if vendor not in ("", *CLOSED) or _OPEN_WEIGHTS.search(name):
        return None
    providers = [provider for provider in get_snapshot().providers if provider.id in CLOSED]
    found = (_priced(provider, provider.find_model(name)) for provider in providers if vendor in ("", provider.id))
    return next((price for price in found if price is not None), None)


def _priced(provider: Provider, model: ModelInfo | None) -> Price | None:
    if model is None:
        return None
    prices = model.get_prices(datetime.now(UTC))
    return ListPrice(provider, model) if prices.input_mtok is not None else None


def _exact(dollars: float | None) -> Decimal:
    return Decimal(str(dollars or 0))
