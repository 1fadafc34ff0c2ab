"""A model in a GGUF file, and models that are named by a path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from herding.engine.errors import LoadError
from herding.engine.fetching.fetcher import ModelFetcher
from herding.engine.model_check import check_model
from herding.engine.model_files import ModelSource, parse_source
from herding.errors import ConfigError, NodeError
from herding.nodes.catalog import read_herd
from herding.nodes.local import LocalConfig, LocalNode
from herding.values import Call, Parameters
from tests.engine.conftest import TEMPLATE, save_tiny_model


def save_gguf(path: Path, model: Any) -> Path:
    """Write a Llama model with a byte-level tokenizer as a GGUF file, as the converter of llama.cpp does."""
    import gguf

    config, tensors = model.config, model.state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    letters = [*sorted(_alphabet())[:-1], "ab"]  # readers want at least one merge; the texts here have none
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*letters, "<|bos|>", "<|im_end|>", "<|im_start|>"])
    writer.add_token_types([1] * len(letters) + [3, 3, 3])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(letters))
    writer.add_eos_token_id(len(letters) + 1)
    writer.add_chat_template(TEMPLATE)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "model.layers": "blk",
    }
    for name, tensor in tensors.items():
        for other, own in names.items():
            name = name.replace(other, own)  # noqa: PLW2901
        values = tensor.float().numpy()
        for part, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
            if part in name:
                values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(name, values.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _alphabet() -> list[str]:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory and a GGUF file of the same model."""
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models")
    save_tiny_model(folder / "tiny")
    save_gguf(folder / "Tiny packed.gguf", LlamaForCausalLM.from_pretrained(folder / "tiny"))
    (folder / "broken.gguf").write_bytes(b"no model")
    return folder


async def test_a_gguf_file_is_the_model_that_it_was_made_of(files: Path, tmp_path: Path) -> None:
    import torch

    from herding.engine.loading import load

    stages: list[tuple[str, float | None]] = []
    path = await ModelFetcher(tmp_path).fetch(
        ModelSource("tiny", files / "Tiny packed.gguf"), lambda *stage: stages.append(stage)
    )
    assert path.parent == tmp_path
    assert ("converting", 0.0) in stages
    assert await ModelFetcher(tmp_path).fetch(ModelSource("tiny", files / "Tiny packed.gguf"), print) == path
    packed = load(path, quantization="none", max_context=None, report=lambda *_: None)
    plain = load(files / "tiny", quantization="none", max_context=None, report=lambda *_: None)
    assert packed.tokenizer.encode("Grüße") == plain.tokenizer.encode("Grüße")
    assert packed.tokenizer.chat_template == TEMPLATE
    ids = torch.tensor([packed.tokenizer.encode("once upon")])
    with torch.inference_mode():
        expected = plain.model(ids).logits
        found = packed.model(ids).logits.float()
    assert torch.nn.functional.cosine_similarity(found, expected, dim=-1).min() > 0.99


def test_what_is_no_gguf_file_is_refused(files: Path) -> None:
    with pytest.raises(LoadError, match="not a GGUF file"):
        check_model(files / "broken.gguf")
    with pytest.raises(LoadError, match="not found"):
        check_model(files / "missing.gguf")


async def test_a_damaged_gguf_file_is_named_and_leaves_nothing(files: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((files / "Tiny packed.gguf").read_bytes()[:4096])
    with pytest.raises(LoadError, match="may be damaged"):
        await ModelFetcher(tmp_path / "cache").fetch(ModelSource("cut", cut), lambda *_: None)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir() and not path.name.endswith(".part")] == []


async def test_a_conversion_that_is_killed_leaves_no_half_model(files: Path, tmp_path: Path) -> None:
    from herding.engine.loading import load

    fetcher, source = ModelFetcher(tmp_path), ModelSource("tiny", files / "Tiny packed.gguf")
    converting = asyncio.Event()
    task = asyncio.create_task(fetcher.fetch(source, lambda *_: converting.set()))
    await converting.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not fetcher._converted(files / "Tiny packed.gguf").exists()
    (half := tmp_path / f"{fetcher._converted(files / 'Tiny packed.gguf').name}.part").mkdir(exist_ok=True)
    (half / "model.safetensors").write_bytes(b"half")
    path = await fetcher.fetch(source, lambda *_: None)
    assert load(path, quantization="none", max_context=None, report=lambda *_: None).vocabulary_size


@pytest.mark.parametrize(
    ("text", "id", "path"),
    [
        ("/models/SmolLM2", "SmolLM2", "/models/SmolLM2"),
        ("/models/SmolLM2/", "SmolLM2", "/models/SmolLM2"),
        ("/models/My model (1).gguf", "My-model-1-", "/models/My model (1).gguf"),
        ("/models/a=b", "a-b", "/models/a=b"),
        ("own/name=/models/x.gguf", "own/name", "/models/x.gguf"),
    ],
)
def test_a_path_is_a_model(text: str, id: str, path: str) -> None:
    source = parse_source(text)
    assert (source.id, str(source.path)) == (id, path)


def test_paths_of_a_nodes_file_start_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text(
        "nodes:\n  - kind: local\n    name: local\n    model: ./models/tiny\n"
        "    models: [../other.gguf, packed.gguf, owner/name, own/small]\n    paths: {own/small: models/small}\n"
    )
    (config,) = read_herd(file).nodes
    assert isinstance(config, LocalConfig)
    assert (config.model, config.models) == ("tiny", ["other", "packed", "owner/name", "own/small"])
    assert config.paths == {
        "own/small": str(tmp_path / "models/small"),
        "tiny": str(tmp_path / "models/tiny"),
        "other": str(tmp_path.parent / "other.gguf"),
        "packed": str(tmp_path / "packed.gguf"),
    }
    file.write_text("nodes:\n  - {kind: local, name: local, model: ./a/x, models: [./b/x]}\n")
    with pytest.raises(ConfigError, match="two models have the name 'x'") as caught:
        read_herd(file)
    assert caught.value.line == 2


async def test_a_local_node_runs_a_gguf_file(files: Path, tmp_path: Path) -> None:
    path = files / "Tiny packed.gguf"
    config = LocalConfig(kind="local", name="local", model=str(path), models=[str(files / "tiny")])
    node = LocalNode(config, directory=tmp_path)
    await node.start()
    try:
        async with asyncio.timeout(200):
            while "Tiny-packed" not in node.serves:
                await asyncio.sleep(0.2)
                await node.status()
        status = await node.status()
        assert {"Tiny-packed", "tiny"} <= set(status.offers)
        call = Call("1", "Tiny-packed", None, "once", Parameters(max_tokens=5, temperature=0))
        text = "".join([chunk.text async for chunk in node.stream(call)])
        assert text
        assert [step async for step in node.load(f"own={files / 'tiny'}")][-1].done
        with pytest.raises(NodeError, match=r"broken\.gguf is not a GGUF file"):
            async for _ in node.load(str(files / "broken.gguf")):
                pass
        status = await node.status()
        assert set(status.serves) == {"Tiny-packed", "own"}
        (broken,) = [model for model in status.models if model.state == "failed"]
        assert (broken.id, status.keep_alive) == ("broken", config.keep_alive)
        await node.unload("broken")
        assert "broken" not in {model.id for model in (await node.status()).models}
        assert "".join([chunk.text async for chunk in node.stream(call)]) == text
    finally:
        await node.close()
    assert "own" in LocalNode(config, directory=tmp_path).offers
