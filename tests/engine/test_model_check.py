"""Models that can't be loaded: what is wrong with each is named, before or instead of a failure deep inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from herding.engine.errors import LoadError, UnsafeModelError
from herding.engine.fetching.program import reason_of
from herding.engine.model_check import check_model
from herding.errors import ConfigError
from herding.values.model_paths import expanded, split_path

GB = 10**9


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "Modelle für Ünï 日本"
    shutil.copytree(tiny, folder)
    return folder


def edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({key: value for key, value in (json.loads(file.read_text()) | changes).items()}))


def split_weights(folder: Path) -> None:
    """Name a second file of weights that is not there."""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def only(name: str) -> Callable[[Path], None]:
    """Leave one file in place of the model."""

    def change(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        if name:
            (folder / name).write_bytes(b"GGUF")

    return change


def into(name: str) -> Callable[[Path], None]:
    """Move the model one directory down."""

    def change(folder: Path) -> None:
        moved = folder.rename(folder.with_name("moved"))
        folder.mkdir()
        moved.rename(folder / name)

    return change


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (only(""), "has no config.json, so it is not a transformers model. The directory is empty."),
    "gguf inside": (only("my.gguf"), "It has a GGUF file: enter "),
    "one down": (into("checkpoint-7"), r"Did you mean .*checkpoint-7\?"),
    "adapter": (write("adapter_config.json", b"{}"), "is an adapter"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"has no weights \(\*\.safetensors\)"),
    "shard": (split_weights, "lacks 1 of 2 files of weights, such as model-00002-of-00002.safetensors"),
    "index": (write("model.safetensors.index.json", b"[]"), "is damaged: it is no JSON object"),
    "text": (write("model.safetensors", b"no tensors here"), "is damaged: it is no safetensors file"),
    "nothing": (write("model.safetensors", b""), "is damaged: it is no safetensors file"),
    "header": (write("model.safetensors", (8).to_bytes(8, "little") + b"{broken}"), "its header can't be read"),
    "pointer": (write("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid x"), "git lfs pull"),
    "config": (write("config.json", b"{"), "config.json is not valid JSON"),
    "latin": (write("config.json", b'{"a": "\xe9"}'), "config.json is not valid JSON"),
    "deep": (write("config.json", b"[" * 100_000), "config.json is not valid JSON"),
    "list": (write("config.json", b"[1]"), "is damaged: it is no JSON object"),
    "tokenizer": (write("tokenizer.json", b"{"), "tokenizer.json is not valid JSON"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_a_directory_is_named(model: Path, name: str) -> None:
    check_model(model)
    change, message = FILES[name]
    change(model)
    with pytest.raises(LoadError, match=message):
        check_model(model)


def test_weights_that_end_early_are_named_with_their_size(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(LoadError, match=r"model\.safetensors is damaged: it has [\d,]+ of [\d,]+ bytes"):
        check_model(model)


def test_places_that_are_no_model(model: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    os.mkfifo(tmp_path / "pipe.gguf")
    for path, message in (
        (loop, "Model directory not found"),
        (tmp_path / "loop.gguf", "Model file not found"),
        (tmp_path / "pipe.gguf", "Model file not found"),
        (tmp_path / "pointer.gguf", "git lfs pull"),
        (model / "model.safetensors", "is a file. Enter the directory of the model"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "nowhere", "Model directory not found"),
    ):
        with pytest.raises(LoadError, match=message):
            check_model(path)
    link = tmp_path / "link"
    link.symlink_to(model)
    check_model(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_a_directory_that_may_not_be_read_is_named(model: Path) -> None:
    model.chmod(0o700)
    model.parent.chmod(0o755)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom herding.engine.errors import LoadError\n"
        "from herding.engine.model_check import check_model\nos.setuid(65534)\n"
        "try:\n    check_model(Path(sys.argv[1]))\nexcept LoadError as error:\n    print(error.message)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(model)], capture_output=True, text=True, cwd=root, check=True
    )
    assert "permission denied. Allow Herding's user to read it." in done.stdout


def test_paths_are_read_as_people_write_them() -> None:
    assert split_path(" owner/name ") == ("owner/name", None)
    assert split_path("https://huggingface.co/owner/name/tree/main") == ("owner/name", None)
    assert split_path("own=~/a=b") == ("own", "~/a=b")
    assert expanded("~/x") == Path.home() / "x"
    for path, message in (
        ("~nobody-here/x", "names no home directory"),
        ("/a\0b", "a character that paths can't have"),
    ):
        with pytest.raises(ConfigError, match=message):
            expanded(path)


def test_a_gguf_file_of_an_unknown_architecture_is_not_called_damaged() -> None:
    error = ValueError("GGUF model with architecture mamba-9 is not supported yet.")
    assert "has an architecture that transformers does not read from GGUF" in reason_of(error, "/x/y.gguf")
    assert "The file may be damaged" in reason_of(ValueError("bad magic"), "/x/y.gguf")


CONFIGS = {
    "encoder": ({"model_type": "bert", "architectures": ["BertModel"]}, "is 'BertModel', which does not generate text"),
    "classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "does not generate text from a prompt"),
    "translator": ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "does not generate text"),
    "unknown": ({"model_type": "llama9"}, r"does not support models of the type 'llama9'.*newer transformers"),
    "untyped": ({"model_type": None}, "names no 'model_type'"),
    "strange": ({"hidden_size": "many"}, "Can't read the configuration"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_that_generates_no_text_is_refused_before_it_is_opened(model: Path, name: str) -> None:
    from herding.engine.transformers_model import measure_model

    changes, message = CONFIGS[name]
    edit(model, **changes)
    with pytest.raises(LoadError, match=message) as caught:
        measure_model(model, quantization="none", max_context=None, budget=GB)
    assert len(caught.value.message) < 600
    assert "\n" not in caught.value.message


def test_weights_that_do_not_fit_the_configuration_are_refused(model: Path) -> None:
    from herding.engine.transformers_model import open_model

    def open_it() -> None:
        options = {"quantization": "none", "max_context": None, "max_active": 1, "threads": 1}
        open_model(model, lambda *_: None, loop=None, budget=GB, **options)  # type: ignore[arg-type]

    edit(model, num_hidden_layers=3)  # the library would make up the weights of the third
    with pytest.raises(LoadError, match=r"lack \d+ tensors that 'LlamaForCausalLM' needs, such as model\.layers\.2"):
        open_it()
    edit(model, num_hidden_layers=2, hidden_size=128)
    with pytest.raises(LoadError, match=r"do not fit its config\.json"):
        open_it()
    edit(model, hidden_size=64)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (model / file).unlink()
    with pytest.raises(LoadError, match=r"has no tokenizer \(such as tokenizer\.json\)"):
        open_it()


def test_pickled_weights_are_never_read(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UnsafeModelError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        check_model(model)
