"""The search for functions with the real default model: the right definition of a well-known package is found."""

from __future__ import annotations

from pathlib import Path

import itsdangerous
import pytest

from herding.engine.embeddings.files import MINILM, packaged
from herding.nodes.local import LocalConfig, LocalNode
from herding.values import NewDocument, Request
from tests.knowledge.conftest import index_all
from tests.support.herding import ADMIN, herding
from tests.support.nodes import echo
from tests.support.until import until

QUESTIONS = {
    "sign a value with a secret key": "Signer.sign",
    "check that a signature is valid": "Signer.validate",
    "serialize an object to a signed string": "Serializer.dumps",
    "expired signature error": "SignatureExpired",
    "the token is older than its max age": "TimestampSigner.unsign",
    "encode bytes as url safe base64": "base64_encode",
    "derive the key from salt and secret": "Signer.derive_key",
    "compress the payload with zlib": "URLSafeSerializerMixin.dump_payload",
    "add a timestamp to the signature": "TimestampSigner.sign",
    "load data without verifying the signature, unsafe": "Serializer.loads_unsafe",
}

ASK = """
    name: Ask the code
    target_models: [echo]
    variables: {question: {type: text}}
    retrieval: {collection: code, query: "{{question}}", top_k: 3}
    messages: [{role: user, content: "{{context}}\\n\\n{{question}}"}]
    """


@pytest.mark.slow  # a real model
@pytest.mark.skipif(packaged(MINILM) is None, reason="NO WEIGHTS: install requirements-models.txt")
async def test_the_right_definition_is_among_the_first_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    root = Path(itsdangerous.__file__).parent
    documents = [
        NewDocument(f"itsdangerous/{path.name}", f"itsdangerous/{path.name}", "py", path.read_bytes())
        for path in sorted(root.glob("*.py"))
    ]
    node = LocalNode(LocalConfig(kind="local", name="local", model=""))
    async with herding(tmp_path, echo(), node) as place:
        await node.start()
        await until(lambda: node.embeds)
        collections = place.orchestrator.collections
        await collections.create("code", ADMIN)
        await collections.add("code", documents, ADMIN)
        await index_all(place.orchestrator)
        right = 0
        for question, name in QUESTIONS.items():
            matches = await collections.query("code", question, ADMIN, top_k=3)
            right += any(match.chunk.heading.endswith(f".{name}") for match in matches)
        assert right >= 8
        place.write("ask", ASK)
        await place.orchestrator.load()
        run = Request("ask", {"question": "encode bytes as url safe base64"})
        outcome = await place.orchestrator.pipeline.run(run, ADMIN)
        first = (outcome.references or ())[0]
        assert (first.document, first.place) == (
            "itsdangerous/encoding.py",
            "itsdangerous.encoding.base64_encode, " + lines(root),
        )
        assert "def base64_encode" in first.text


def lines(root: Path) -> str:
    """The lines of the definition in its file."""
    source = (root / "encoding.py").read_text().splitlines()
    start = source.index("def base64_encode(string: str | bytes) -> bytes:") + 1
    end = next(n for n in range(start, len(source)) if source[n].startswith("def "))
    while not source[end - 1].strip():
        end -= 1
    return f"lines {start}-{end}"
