"""Questions to a collection through Discord: the response lists its references, and a click becomes a score."""

from __future__ import annotations

from pathlib import Path

from tests.bots.conftest import bot
from tests.bots.test_discord import complete, status, told
from tests.knowledge.conftest import MODEL, Words, index_all, text
from tests.support.fakediscord import CODE, FakeDiscord
from tests.support.herding import ADMIN, herding
from tests.support.nodes import echo

SHIPPED = Path(__file__).resolve().parents[2] / "prompts" / "ask_collection.yaml"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


async def test_a_question_to_a_collection_lists_its_references(tmp_path: Path, discord: FakeDiscord) -> None:
    async with herding(tmp_path, echo("echo", SMOLLM2), Words()) as place:
        place.write("ask_collection", SHIPPED.read_text())
        collections = place.orchestrator.collections
        for name in ("public-llamas", "secret"):
            await collections.create(name, ADMIN, embedding_model=MODEL)
            await collections.add(name, [text("wool*.txt", "Llamas have soft wool.")], ADMIN)
        await index_all(place.orchestrator)
        channels = {str(CODE): {"prompt": "ask_collection", "collection": "public-llamas", "threads": False}}
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
