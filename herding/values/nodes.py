"""Nodes, the machines they run on, and the models they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from herding.values.records import NodeStats

SPECIALIST = "herding/cria"
"""The bundled model, which knows few tasks."""


def generalists(models: Iterable[str]) -> list[str]:
    """Return the models without the bundled specialist, which is left only if there is no other."""
    found = list(dict.fromkeys(models))
    return [model for model in found if model != SPECIALIST] or found


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its driver reports it. Memory in bytes; utilisation in percent, None where nothing tells it."""

    name: str
    memory_total: int
    memory_used: int
    utilisation: float | None = None


@dataclass(frozen=True, slots=True)
class System:
    """Figures of the machine that a node runs on. Memory and disk in bytes; `gpus` is empty where there is none."""

    cpu_percent: float
    load_1m: float
    memory_total: int
    memory_used: int
    swap_total: int
    swap_used: int
    disk_total: int
    disk_used: int
    process_memory: int
    gpus: tuple[Gpu, ...] = ()


NodeState = Literal["off", "starting", "loading", "ready", "down"]
"""`off`: not configured on this machine; `down`: not reachable, or its model failed to load."""


EngineModelState = Literal["available", "loading", "loaded", "failed"]
"""`available`: can be loaded; `failed`: its last load failed, and it can be loaded again."""


@dataclass(frozen=True, slots=True)
class EngineModel:
    """A model that an engine has loaded or can load.

    `size` is what it takes of the engine's memory budget in bytes: weights and the most that its cache may grow to,
    None if unknown. While it loads, `progress` is the fraction of `stage`, 0-1, None if unknown; `error` says why the
    last load failed. `idle_seconds` is the time since its last response, `running` the requests that run or wait.
    `on_disk` is false for a model that is downloaded first; `downloaded` bytes of `download_size` are there if a
    download of it began and is not complete. `files` are the bytes that can be deleted, to be downloaded or made again.
    An `added` model can be removed from the list. A `resident` one is not unloaded when it rests; one without `chat`
    has no chat template, and takes raw templates and text completions only.
    """

    id: str
    state: EngineModelState = "available"
    size: int | None = None
    progress: float | None = None
    stage: str = ""
    error: str = ""
    running: int = 0
    idle_seconds: float | None = None
    context_length: int | None = None
    features: tuple[str, ...] = ()
    device: str | None = None
    dtype: str | None = None
    on_disk: bool = True
    resident: bool = False
    chat: bool = True
    added: bool = False
    files: int = 0
    downloaded: int | None = None
    download_size: int | None = None


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """The memory that the models of an engine may take together, and what of it is taken and free, in bytes."""

    budget: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node at this moment.

    `serves`: models that it answers with now; `embeds`: models that it makes embeddings with; `reranks`: models that
    it scores documents with, `faults` why it can't use others of both; `offers`: models that it can load; `features`:
    what it can do besides text; `loading`: the model that is on its way, with `progress` 0-1 where that is known.
    `system` is None where the node does not tell. An engine also has its `models`, those that are loaded first, and
    their `memory`; one that is not resident is unloaded after `keep_alive` seconds without requests.
    """

    state: NodeState
    serves: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    detail: str = ""
    loading: str | None = None
    progress: float | None = None
    context_length: int | None = None
    active: int = 0
    waiting: int = 0
    device: str | None = None
    system: System | None = None
    embeds: tuple[str, ...] = ()
    reranks: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    models: tuple[EngineModel, ...] = ()
    memory: ModelMemory | None = None
    keep_alive: float | None = None


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model of the hub that runs on a small machine.

    `download` and `memory` are bytes: of its files, and with the weights and a context of 4,096 tokens in bfloat16.
    `license` is its name at the hub; `gated` models need `HF_TOKEN` and an accepted license. `note` says what it is
    good at. `nodes` offer it already.
    """

    id: str
    parameters: str
    download: int
    memory: int
    context: int
    license: str
    gated: bool = False
    note: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A step of loading a model: `fraction` is 0-1, None where the length is not known."""

    fraction: float | None
    stage: str
    done: bool = False


HealthState = Literal["healthy", "ejected", "trial", "resting", "misconfigured"]


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The health of a node, from the results of earlier requests.

    `healthy`; `ejected` after failures; `trial` while the next request decides; `resting` after it reported overload;
    `misconfigured` while it refuses our credentials. `seconds`: until it may be called.
    """

    state: HealthState = "healthy"
    seconds: float | None = 0.0
    reason: str = ""
    failures_in_a_row: int = 0
    ejections: int = 0


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One change of a node. `at_ms` is Unix milliseconds; `detail` is a few words, never of a request's text."""

    at_ms: int
    node: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node as a person sees it: its kind, its status, and what it did in the last 24 hours.

    `label` is the name of the kind on the page. `running` requests of at most `concurrency` (None: any number); one
    that is `draining` gets no new ones.
    """

    name: str
    kind: str
    status: NodeStatus
    stats: NodeStats
    prompts: tuple[str, ...] = ()
    health: NodeHealth = NodeHealth()
    running: int = 0
    concurrency: int | None = None
    draining: bool = False
    label: str = ""

    @property
    def answers(self) -> bool:
        """True if the node is ready and gets requests now."""
        return self.status.state == "ready" and self.health.state in ("healthy", "trial") and not self.draining


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """The capabilities of a model on a node: features, and the parameters that it takes (None: any)."""

    features: tuple[str, ...] = ()
    parameters: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model, the nodes that answer, embed, rerank or can be switched to it, and the prompts that target it.

    `capabilities` are what a node can do with it besides text, by node.
    """

    id: str
    nodes: tuple[str, ...]
    embeds: tuple[str, ...]
    reranks: tuple[str, ...]
    offered_by: tuple[str, ...]
    prompts: tuple[str, ...]
    capabilities: Mapping[str, ModelCapabilities] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node that was added at run time, as it is stored.

    `config` is what its kind takes, without secrets; `sealed` are those, which nothing but this node at this `origin`
    (scheme, host and port) can open. `owner` is a free text that names who runs it.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    origin: str
    added_by: str
    at: int
    owner: str = ""
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """The HTTP exchange of a test call, as far as it came; secrets are masked, long texts cut.

    `sent` and `received` are header lines; `status` is None without a response. `extracted` is the text found in
    it, `error` the reason why there is none.
    """

    line: str = ""
    sent: tuple[str, ...] = ()
    body: str = ""
    status: int | None = None
    received: tuple[str, ...] = ()
    answer: str = ""
    extracted: str = ""
    error: str | None = None
    milliseconds: float = 0.0


PluginState = Literal["loaded", "failed", "off"]


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin of another package. `provides` says what it adds, `problem` why it is not loaded."""

    name: str
    package: str
    version: str
    state: PluginState
    provides: tuple[str, ...] = ()
    problem: str | None = None
