"""Questions to a collection through Discord: the response lists its references, and a click becomes a score."""

from __future__ import annotations

from pathlib import Path

import itsdangerous
import pytest

from herding.engine.embeddings.files import MINILM, packaged
from herding.nodes.local import LocalConfig, LocalNode
from herding.values import NewDocument
from tests.bots.conftest import bot
from tests.bots.test_discord import complete, status, told
from tests.knowledge.conftest import MODEL, Words, index_all, text
from tests.support.fakediscord import CODE, FakeDiscord
from tests.support.herding import ADMIN, herding
from tests.support.nodes import echo
from tests.support.until import until

SHIPPED = Path(__file__).resolve().parents[2] / "prompts" / "collection_question.yaml"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


async def test_a_question_to_a_collection_lists_its_references(tmp_path: Path, discord: FakeDiscord) -> None:
    async with herding(tmp_path, echo("echo", SMOLLM2), Words()) as place:
        place.write("collection_question", SHIPPED.read_text())
        collections = place.orchestrator.collections
        for name in ("public-llamas", "secret"):
            await collections.create(name, ADMIN, embedding_model=MODEL)
            await collections.add(name, [text("wool*.txt", "Llamas have soft wool.")], ADMIN)
        await index_all(place.orchestrator)
        channels = {str(CODE): {"prompt": "collection_question", "collection": "public-llamas", "threads": False}}
        async with bot(place, discord, channels=channels):
            discord.say(CODE, "do llamas have wool?")
            (reply,) = await complete(discord, CODE)
            assert "Llamas have soft wool." in reply["content"]
            (references,) = [embed for embed in reply["embeds"] if embed.get("title") == "References"]
            assert references["description"].startswith(r"**[1]** wool\*.txt · ")
            discord.command("ask", question="do llamas have wool?", collection="public-llamas")
            (reply,) = await complete(discord)
            assert [embed["title"] for embed in reply["embeds"]] == ["Question", "References"]
            assert await told(discord, discord.click(reply, "4 ★")) == "Rated 4 of 5."
            rows = await place.rows()
            (rating,) = (await place.orchestrator.history.entry(rows[0].request_id, ADMIN)).ratings
            assert (rating.principal, rating.stars) == ("discord:7", 4)
            discord.command("ask", question="do llamas have wool?", collection="secret")
            replies = await complete(discord, count=2)
            assert "the role 'guest' may not use" in status(replies[1])


@pytest.mark.slow  # real models
@pytest.mark.skipif(packaged(MINILM) is None, reason="NO WEIGHTS: install requirements-models.txt")
async def test_the_embedded_models_answer_from_the_sources_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, discord: FakeDiscord
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    root = Path(itsdangerous.__file__).parent
    documents = [NewDocument(path.name, path.name, "py", path.read_bytes()) for path in sorted(root.glob("*.py"))]
    node = LocalNode(LocalConfig(kind="local", name="local", model=SMOLLM2))
    async with herding(tmp_path, node) as place:
        place.write("collection_question", SHIPPED.read_text().replace("max_tokens: 300", "max_tokens: 40"))
        await node.start()
        await until(lambda: node.embeds and SMOLLM2 in node.serves)
        await place.orchestrator.collections.create("public-code", ADMIN)
        await place.orchestrator.collections.add("public-code", documents, ADMIN)
        await index_all(place.orchestrator)
        async with bot(place, discord):
            discord.command("ask", question="encode bytes as url safe base64", collection="public-code")
            (reply,) = await complete(discord, seconds=600)
            assert reply["content"]
            (references,) = [embed for embed in reply["embeds"] if embed.get("title") == "References"]
            assert "base64" in references["description"].splitlines()[0]
            assert await told(discord, discord.click(reply, "4 ★")) == "Rated 4 of 5."
        row = await place.row()
        assert (row.model, row.principal) == (SMOLLM2, "discord:7")
        assert row.references
        assert row.references[0].document == "encoding.py"
        (rating,) = (await place.orchestrator.history.entry(row.request_id, ADMIN)).ratings
        assert rating.stars == 4
