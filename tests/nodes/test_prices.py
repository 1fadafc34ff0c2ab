"""Prices of models: configured ones, list prices, and those that are not known."""

from __future__ import annotations

import socket
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import ValidationError

from herding.errors import ConfigError
from herding.nodes.base import BuildContext
from herding.nodes.catalog import build, read_herd
from herding.nodes.prices import ConfiguredPrice, list_price
from herding.values import NANO, Usage

MILLION = Usage(1_000_000, 1_000_000, "node")


class CachedUsage(Usage):
    """Usage with half a million cached input tokens."""

    cached_tokens = 500_000


@pytest.mark.parametrize(
    ("fields", "dollars"),
    [
        ({"input": 0.15, "output": 0.6}, 0.75),
        ({"input": 2}, 2),
        ({"output": 3}, 3),
        ({"request": 0.01}, 0.01),
        ({"input": 1, "output": 1, "request": 0.5}, 2.5),
        ({"input": 0}, 0),
    ],
)
def test_a_configured_price(fields: dict[str, Any], dollars: float) -> None:
    assert ConfiguredPrice(**fields).cost(MILLION) == round(dollars * NANO)


def test_cached_tokens_have_a_price_of_their_own() -> None:
    usage = CachedUsage(1_000_000, 0, "node")
    assert ConfiguredPrice(input=2, cached=0.5).cost(usage) == round(1.25 * NANO)
    assert ConfiguredPrice(input=2).cost(usage) == 2 * NANO
    assert ConfiguredPrice(input=2, cached=0).cost(usage) == NANO


def test_a_single_token_costs_something() -> None:
    assert ConfiguredPrice(input=0.02).cost(Usage(1, 0)) == 20


@pytest.mark.parametrize(
    "fields", [{}, {"input": -1}, {"input": float("nan")}, {"currency": "EUR", "input": 1}, {"in": 1}]
)
def test_other_prices_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConfiguredPrice(**fields)


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o-mini"),
        ("https://api.openai.com/v1", "text-embedding-3-small"),
        ("https://openrouter.ai/api/v1", "openai/gpt-4o-mini"),
        ("https://api.mistral.ai/v1", "mistral-small-latest"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.0-flash"),
        ("https://api.together.xyz/v1", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
        ("http://127.0.0.1:4000/v1", "gpt-4o-mini"),
        ("http://litellm:4000", "anthropic/claude-3-5-haiku-latest"),
        ("http://litellm:4000", "text-embedding-3-small"),
    ],
)
def test_known_models_have_a_list_price_without_a_network(
    base_url: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("prices are looked up on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    price = list_price(base_url, model)
    assert price is not None
    assert price.cost(MILLION) > 0
    assert price.cost(Usage(0, 0)) == 0


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.openai.com/v1", "no-such-model"),
        ("http://127.0.0.1:11434/v1", "llama3.2"),
        ("http://127.0.0.1:8000/v1", "Qwen/Qwen2.5-7B-Instruct"),
        ("http://127.0.0.1:8000/v1", "gpt-oss-20b"),
        ("http://127.0.0.1:8000/v1", "openai/gpt-oss-20b"),
        ("http://127.0.0.1:8000/v1", "mistral-small-latest"),
        ("http://127.0.0.1:8000/v1", "somebody/gpt-4o-mini"),
        ("https://router.huggingface.co/v1", "meta-llama/Llama-3.1-8B-Instruct"),
    ],
)
def test_what_is_not_known_stays_unknown(base_url: str, model: str) -> None:
    assert list_price(base_url, model) is None


def test_cached_tokens_of_a_list_price_are_cheaper() -> None:
    price = list_price("https://api.openai.com/v1", "gpt-4o-mini")
    assert price is not None
    assert price.cost(CachedUsage(1_000_000, 0, "node")) < price.cost(Usage(1_000_000, 0))


def nodes(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "nodes.yaml"
    path.write_text(dedent(text))
    return build(read_herd(path), BuildContext(secret=lambda _: "key"))


def test_prices_of_the_nodes_file(tmp_path: Path) -> None:
    found = nodes(
        tmp_path,
        """
        nodes:
          - {kind: echo, name: free}
          - {kind: echo, name: flat, prices: {input: 1, output: 2}}
          - kind: openai
            name: mixed
            base_url: https://api.openai.com/v1
            models: [gpt-4o-mini, mine, other]
            prices:
              mine: {input: 5, output: 5}
          - kind: openai
            name: rest
            base_url: http://127.0.0.1:8000/v1
            models: [a, b]
            prices:
              a: {input: 1}
              "*": {input: 9}
        """,
    )
    assert found["free"].price("echo").cost(MILLION) == 0
    assert found["flat"].price("echo").cost(MILLION) == 3 * NANO
    assert found["mixed"].price("mine").cost(MILLION) == 10 * NANO
    assert found["mixed"].price("gpt-4o-mini").cost(MILLION) > 0
    assert found["mixed"].price("other") is None
    assert [found["rest"].price(model).cost(MILLION) for model in ("a", "b")] == [NANO, 9 * NANO]


def test_a_wrong_price_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prices"):
        nodes(tmp_path, "nodes: [{kind: echo, name: x, prices: {input: cheap}}]")
