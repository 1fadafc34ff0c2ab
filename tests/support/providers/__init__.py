"""A server that behaves as OpenAI-compatible servers do in what makes each of them different: one path a provider.

What the user says last selects what a provider shows; each provider's module says where its behaviour is documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.fakenode import serving
from tests.support.providers import gateways, hosted, hyperscalers, local
from tests.support.providers.wire import Asked

PROVIDERS: dict[str, Callable[[Asked], Response]] = {
    "vllm": local.vllm,
    "llamacpp": local.llamacpp,
    "ollama": local.ollama,
    "tgi": local.tgi,
    "gemini": hyperscalers.gemini,
    "anthropic": hyperscalers.anthropic,
    "azure": hyperscalers.azure,
    "mistral": hosted.mistral,
    "deepseek": hosted.deepseek,
    "moonshot": hosted.moonshot,
    "groq": gateways.groq,
    "openrouter": gateways.openrouter,
}


@dataclass
class Providers:
    """The server: its base URL, and what each provider was asked."""

    url: str = ""
    asked: dict[str, list[Asked]] = field(default_factory=lambda: {name: [] for name in PROVIDERS})

    def base_url(self, name: str) -> str:
        """The base URL of a provider."""
        return f"{self.url}/{name}/v1"

    async def chat(self, request: Request) -> Response:
        """Answer as the provider of the path."""
        name = request.path_params["provider"]
        asked = Asked(await request.json(), dict(request.headers), sum(1 for _ in self.asked[name]))
        self.asked[name].append(asked)
        return PROVIDERS[name](asked)

    async def models(self, request: Request) -> Response:
        """The only model of a provider has its name."""
        return JSONResponse({"object": "list", "data": [{"id": request.path_params["provider"], "object": "model"}]})


@contextmanager
def providers() -> Iterator[Providers]:
    """A running server."""
    server = Providers()
    routes = [
        Route("/{provider}/v1/chat/completions", server.chat, methods=["POST"]),
        Route("/{provider}/v1/models", server.models),
    ]
    with serving(Starlette(routes=routes)) as url:
        server.url = url
        yield server
