"""LangChain's standard suites for chat models and embeddings, on every way."""

from __future__ import annotations

import base64
from functools import reduce
from operator import add
from typing import Any, ClassVar

import httpx
import pytest
import tiktoken
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests
from langchain_tests.unit_tests.chat_models import ChatModelTests

from tests.clients.conftest import Way
from tests.support.upstream.completions import vector

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),  # the models share a connection pool
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of the suites' own inputs: a file without a name
]

SOUND = b"RIFF\x24\x00\x00\x00WAVEfmt "


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites download a picture, a document and a sound from the web: they get small ones without it."""
    monkeypatch.setattr(httpx, "get", lambda url, **_: httpx.Response(200, content=SOUND))
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "tests")


class Chats:
    """What the chat suites know of the model on the way `name`."""

    name: str
    way: Way

    @pytest.fixture(autouse=True)
    def _connected(self, ways: dict[str, Way]) -> None:
        self.way = ways[self.name]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.way.chat, "base_url": self.way.url, "api_key": self.way.key, "stream_usage": True}

    @property
    def model_override_value(self) -> str | None:
        """Another model; a prompt's response names the model that wrote it, not the prompt."""
        return None if self.name == "prompt" else self.way.reasoner

    supports_image_inputs = supports_image_urls = supports_image_tool_message = True
    supports_pdf_inputs = supports_pdf_tool_message = supports_audio_inputs = supports_json_mode = (
        supports_anthropic_inputs
    ) = True

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        return {key: ["audio_input", "reasoning_output", "cache_read_input"] for key in ("invoke", "stream")}

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        sound = {"type": "audio", "mime_type": "audio/wav", "base64": base64.b64encode(SOUND).decode()}
        return self._answer(HumanMessage([sound]), stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer(HumanMessage("Think"), stream=stream, model=self.way.reasoner)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._answer(HumanMessage("Hello"), stream=stream)

    def _answer(self, message: HumanMessage, *, stream: bool, **more: Any) -> AIMessage:
        model = self.chat_model_class(**{**self.chat_model_params, **more})
        answer = reduce(add, model.stream([message])) if stream else model.invoke([message])
        assert isinstance(answer, AIMessage)
        return answer


class TestDirect(Chats, ChatModelIntegrationTests):
    name = "direct"


class TestHerding(Chats, ChatModelIntegrationTests):
    name = "herding"


class TestPrompt(Chats, ChatModelIntegrationTests):
    name = "prompt"


class FunctionCalling(Chats, ChatModelTests):
    """The suite's tests of structured output, by a function call instead of a response format."""

    structured_output_kwargs: ClassVar[dict[str, Any]] = {"method": "function_calling"}

    test_structured_output = ChatModelIntegrationTests.test_structured_output
    test_structured_output_async = ChatModelIntegrationTests.test_structured_output_async
    test_structured_output_pydantic_2_v1 = ChatModelIntegrationTests.test_structured_output_pydantic_2_v1
    test_structured_output_optional_param = ChatModelIntegrationTests.test_structured_output_optional_param


class TestFunctionCallingDirect(FunctionCalling):
    name = "direct"


class TestFunctionCallingHerding(FunctionCalling):
    name = "herding"


class TestFunctionCallingPrompt(FunctionCalling):
    name = "prompt"


class TestUnit(ChatModelUnitTests):
    """The suite that asks no server."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "herding/cria", "base_url": "https://herding.example/v1", "api_key": "hl_key"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        given = {"OPENAI_API_KEY": "hl_key", "OPENAI_API_BASE": "https://herding.example/v1"}
        expected = {"openai_api_key": "hl_key", "openai_api_base": "https://herding.example/v1"}
        return given, {"model": "herding/cria"}, expected


class Vectors:
    """What the embedding suites know of the model. A token is a byte here, as at the server: nothing is downloaded."""

    name: str
    way: Way

    @pytest.fixture(autouse=True)
    def _connected(self, ways: dict[str, Way], monkeypatch: pytest.MonkeyPatch) -> None:
        self.way = ways[self.name]
        ranks = {bytes([byte]): byte for byte in range(256)}
        tokens = tiktoken.Encoding("bytes", pat_str=r"(?s:.+)", mergeable_ranks=ranks, special_tokens={})
        monkeypatch.setattr(tiktoken, "encoding_for_model", lambda _: tokens)

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": self.way.embedder, "base_url": self.way.url, "api_key": self.way.key}

    def test_they_are_those_of_the_texts(self, model: Embeddings) -> None:
        for text, found in zip(["foo", "bär"], model.embed_documents(["foo", "bär"]), strict=True):
            assert found == pytest.approx(vector(text))


class TestVectorsDirect(Vectors, EmbeddingsIntegrationTests):
    name = "direct"


class TestVectorsHerding(Vectors, EmbeddingsIntegrationTests):
    name = "herding"


class TestVectorsUnit(EmbeddingsUnitTests):
    """The suite that asks no server."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "fake-embedder", "api_key": "hl_key"}
