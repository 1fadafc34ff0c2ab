"""Embeddings of the local node with the official client: the default model, without a network."""

from __future__ import annotations

from array import array
from base64 import b64decode
from pathlib import Path

import httpx
import openai
import pytest

from herding.engine.embeddings.files import MINILM
from herding.main import create
from herding.nodes.local import LocalConfig, LocalNode
from tests.support.herding import ADMIN_TOKEN, herding
from tests.support.until import until


async def test_the_default_model_embeds_with_the_official_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    node = LocalNode(LocalConfig(kind="local", name="local"))
    async with herding(tmp_path, node) as place:
        await node.start()
        await until(lambda: node.embeds)
        app = create(place.parts, place.settings, ui=False)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        async with openai.AsyncOpenAI(base_url="http://herding.test/v1", api_key=ADMIN_TOKEN, http_client=http) as sdk:
            made = await sdk.embeddings.create(model=MINILM, input=["bread", "a loaf"])  # base64 by default
            floats = await sdk.embeddings.create(model=MINILM, input="bread", encoding_format="float")
            assert [len(item.embedding) for item in made.data] == [384, 384]
            assert made.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-5)
            assert made.usage.prompt_tokens == 7
            assert made.model == MINILM
            ids = await sdk.embeddings.create(model=MINILM, input=[[7852]])
            assert ids.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-5)
            with pytest.raises(openai.BadRequestError, match="dimensions"):
                await sdk.embeddings.create(model=MINILM, input="bread", dimensions=8)
            raw = await http.post(
                "http://herding.test/v1/embeddings",
                json={"model": MINILM, "input": "bread", "encoding_format": "base64"},
                headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
            )
            assert len(array("f", b64decode(raw.json()["data"][0]["embedding"]))) == 384
            assert MINILM in [model.id for model in (await sdk.models.list()).data]
