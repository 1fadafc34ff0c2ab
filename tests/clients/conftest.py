"""A model server with the whole API, a Herding in front of it, and published prompts: three ways to the same model.

What a client gets directly from the server is right by definition. It must get the same through Herding, and the
server must be asked the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import yaml

from tests.e2e.doors import Admin, open_app
from tests.e2e.running_app import RunningApp
from tests.support.providers import PROVIDERS, Providers, providers
from tests.support.upstream import CHAT, EMBEDDER, REASONER, Upstream, upstream

os.environ["LLM_LOAD_PLUGINS"] = ""  # the package with the weights of SmolLM2 is one, and needs llama.cpp

KEY = "sk-upstream"
WAYS = ("direct", "herding", "prompt")


@dataclass(frozen=True)
class Way:
    """Where a client connects, and the names that it gives to the models there.

    `embedder` and `raw` (for texts without a chat) are None where the way has none.
    """

    name: str
    url: str
    key: str
    chat: str
    reasoner: str
    embedder: str | None = EMBEDDER
    raw: str | None = CHAT

    def sdk(self, **options: Any) -> openai.OpenAI:
        """The official client, which blocks and does not retry."""
        return openai.OpenAI(base_url=self.url, api_key=self.key, max_retries=0, **options)

    def async_sdk(self, **options: Any) -> openai.AsyncOpenAI:
        """The official client, which does not retry."""
        return openai.AsyncOpenAI(base_url=self.url, api_key=self.key, max_retries=0, **options)


def prompt(model: str) -> str:
    """A chat prompt that says what it is given and no more."""
    messages = [{"role": "user", "content": "{{text}}"}]
    variables = {"text": {"type": "text", "required": False}}
    fields = {"name": "Ask", "chat": True, "target_models": [model], "variables": variables, "messages": messages}
    return yaml.safe_dump(fields)


RAW = f"""
name: Continue
target_models: [{CHAT}]
variables:
  text: {{type: text}}
prompt: "{{{{text}}}}"
"""


@pytest.fixture(scope="session")
def server() -> Iterator[Upstream]:
    """The model server."""
    with upstream() as running:
        yield running


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Providers]:
    """A server with the habits of each provider."""
    with providers() as running:
        yield running


@pytest.fixture(scope="session")
def app(server: Upstream, provider_server: Providers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """Herding in front of the server and of the providers; each of these has a model of its name."""
    running = open_app(tmp_path_factory.mktemp("gateway"), UPSTREAM_KEY=KEY)
    node = {"kind": "openai", "name": "upstream", "base_url": server.url, "api_key_env": "UPSTREAM_KEY"}
    node |= {"models": [CHAT, REASONER], "embedding_models": [EMBEDDER]}
    others = [
        {"kind": "openai", "name": name, "base_url": provider_server.base_url(name), "models": [name]}
        for name in PROVIDERS
    ]
    (running.home / "nodes.yaml").write_text(yaml.safe_dump({"nodes": [node, *others]}))
    prompts = running.home / "prompts"
    (prompts / "greet.yaml").unlink()
    (prompts / "ask.yaml").write_text(prompt(CHAT))
    (prompts / "think.yaml").write_text(prompt(REASONER))
    (prompts / "continue.yaml").write_text(RAW)
    yield running.start()
    running.stop()


@pytest.fixture(scope="session")
def ways(app: RunningApp, server: Upstream) -> dict[str, Way]:
    """The ways by name."""
    url, key = f"{app.url}/v1", Admin(app.url).user("client")
    return {
        "direct": Way("direct", server.url, KEY, CHAT, REASONER),
        "herding": Way("herding", url, key, CHAT, REASONER),
        "prompt": Way("prompt", url, key, "prompt:ask", "prompt:think", embedder=None, raw="prompt:continue"),
    }


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each way in turn."""
    return ways[request.param]
