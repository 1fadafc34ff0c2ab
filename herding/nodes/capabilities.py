"""Capabilities of nodes, and the needs of requests: tools, images, parameters of a server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from herding.values import COMPLETION_TOKENS, Fields, Message, ModelCapabilities, Parameters
from herding.yaml_files import StrictModel

FEATURES = ("tools", "images", "audio", "video", "files", "reasoning", "logprobs", "n", "prompts", "token_ids")
"""All features, in the order in which they are shown.

`n` is several choices, `prompts` several raw texts in one request, `token_ids` token ids instead of a raw text.
"""

BASIC = frozenset({"temperature", "top_p", "top_k", "max_tokens", "stop", "seed"})
"""The parameters that no node refuses; one that does not take them is called without them."""

_FEATURE_OF_PARAMETER = {
    **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"), "tools"),
    **dict.fromkeys(("reasoning_effort", "reasoning", "thinking", "include_reasoning"), "reasoning"),
    **dict.fromkeys(("logprobs", "top_logprobs"), "logprobs"),
    **dict.fromkeys(("n", "best_of"), "n"),
    "audio": "audio",
}
_FEATURE_OF_PART = {
    **dict.fromkeys(("image_url", "input_image", "image"), "images"),
    **dict.fromkeys(("input_audio", "audio_url", "audio"), "audio"),
    **dict.fromkeys(("video_url", "video"), "video"),
    **dict.fromkeys(("file", "input_file", "file_url", "document"), "files"),
}
_WITHOUT_EFFECT = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier", "cache_salt", "priority"),
        *("prompt_cache_key", "prompt_cache_retention"),
    }
)
"""Parameters that do not change the response: a node that does not take them is called without them."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "min_p", "prompt_logprobs", "min_tokens"), (0,)),
    **dict.fromkeys(("repetition_penalty", "length_penalty", "typical_p", "top_a", "n", "best_of"), (1,)),
    **dict.fromkeys(("logprobs", "echo", "return_token_ids", "ignore_eos", "use_beam_search"), (False,)),
    **dict.fromkeys(("top_logprobs",), (0,)),
    **dict.fromkeys(("logit_bias", "chat_template_kwargs"), ({},)),
    "modalities": (["text"],),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True, False),
    "function_call": ("auto", "none"),
    "suffix": ("",),
    "reasoning_effort": ("none",),
}
"""The values that change nothing: a node that does not take the parameter is called without it."""


class CapabilitiesConfig(StrictModel):
    """Capabilities in the nodes file. Those that are not given are the defaults of the kind of node.

    `parameters` are all parameters that the node takes; without it, any.
    """

    tools: bool | None = None
    images: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    files: bool | None = None
    reasoning: bool | None = None
    logprobs: bool | None = None
    n: bool | None = None
    prompts: bool | None = None
    token_ids: bool | None = None
    parameters: list[str] | None = Field(default=None, max_length=200)

    def over(self, default: Capabilities) -> Capabilities:
        """Return `default` with what is given here."""
        features = {name for name in default.features if getattr(self, name) is not False}
        features |= {name for name in FEATURES if getattr(self, name)}
        if self.parameters is None:
            return Capabilities(frozenset(features), default.parameters, default.refused)
        return Capabilities(frozenset(features), frozenset(self.parameters))


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a request needs of a node: a feature, or that it takes a parameter.

    `param` is where the request says so, `what` the words for it.
    """

    name: str
    param: str
    what: str
    is_feature: bool = True


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of a node with one model. `parameters` are those that it takes, None for any but the `refused`."""

    features: frozenset[str] = frozenset()
    parameters: frozenset[str] | None = BASIC
    refused: frozenset[str] = frozenset()

    def meet(self, needs: Iterable[Need]) -> bool:
        """Return whether the node can do all that a request needs."""
        return all(map(self.meets, needs))

    def meets(self, need: Need) -> bool:
        """Return whether the node can do one thing."""
        return need.name in self.features if need.is_feature else self.takes(need.name)

    def takes(self, parameter: str) -> bool:
        """Return whether the node takes a parameter."""
        if parameter in self.refused:
            return False
        if self.parameters is not None and parameter not in self.parameters:
            return _FEATURE_OF_PARAMETER.get(parameter) in self.features and parameter not in BASIC
        feature = _FEATURE_OF_PARAMETER.get(parameter)
        return feature is None or feature in self.features

    def accepted(self, parameters: Parameters) -> tuple[Parameters, tuple[str, ...]]:
        """Return the parameters to send, and the names of those that are left out because the node takes none.

        Values that change nothing are left out silently; stop strings also end the response without the node.
        """
        if not parameters.more and not self.refused and (self.parameters is None or self.parameters >= BASIC):
            return parameters, ()
        if COMPLETION_TOKENS in parameters.more and not self.takes(COMPLETION_TOKENS):
            limit = parameters.output_limit
            parameters = replace(parameters.without(frozenset({COMPLETION_TOKENS})), max_tokens=limit)
        left = {name: value for name, value in parameters.given().items() if not self.takes(name)}
        if not left:
            return parameters, ()
        said = tuple(name for name, value in left.items() if name != "stop" and not _is_neutral(name, value))
        return parameters.without(frozenset(left)), said


EVERYTHING = Capabilities(frozenset(FEATURES), None)

_STRICT_HOSTS = ("api.openai.com", "openai.azure.com", "api.groq.com", "api.mistral.ai")
"""Hosted servers that answer an error to a sampling parameter of other servers, also with a name in front."""


def hosted_capabilities(host: str) -> Capabilities:
    """Return the capabilities of an OpenAI-compatible server at a host: everything, but what it is known to refuse."""
    strict = any(host == known or host.endswith(f".{known}") for known in _STRICT_HOSTS)
    return replace(EVERYTHING, refused=frozenset({"top_k"})) if strict else EVERYTHING


TEXT_ONLY = Capabilities()


def needs_of(
    *, messages: Iterable[Message], parameters: Parameters, own: Collection[str], prompts: Any
) -> tuple[Need, ...]:
    """Return what a request needs. `own` are the parameters that its caller gave; those of a prompt are optional."""
    needs = [*_needs_of_parameters(parameters.more, own), *_needs_of_messages(messages), *_needs_of_prompts(prompts)]
    return tuple({need.name: need for need in reversed(needs)}.values())[::-1]


def _needs_of_parameters(given: Fields, own: Collection[str]) -> Iterator[Need]:
    for name, value in given.items():
        if _is_neutral(name, value) or name in _WITHOUT_EFFECT or name == COMPLETION_TOKENS:
            continue
        feature = _FEATURE_OF_PARAMETER.get(name)
        if name == "modalities" and isinstance(value, list) and "audio" in value:
            feature = "audio"
        if feature and (feature != "reasoning" or name in own):
            yield Need(feature, name, f"'{name}'")
        elif feature is None and name in own:
            yield Need(name, name, f"'{name}'", is_feature=False)


def _needs_of_messages(messages: Iterable[Message]) -> Iterator[Need]:
    for number, message in enumerate(messages):
        if message.plain:
            continue
        place = f"messages.{number}"
        if message.role in ("tool", "function") or any(message.fields.get(n) for n in ("tool_calls", "function_call")):
            yield Need("tools", place, "tool calls and their results")
        for position, part in enumerate(message.parts or ()):
            kind = str(part.get("type"))
            if feature := _FEATURE_OF_PART.get(kind):
                yield Need(feature, f"{place}.content.{position}", f"{feature} ({kind})")


def _needs_of_prompts(prompts: Any) -> Iterator[Need]:
    if not prompts:
        return
    if len(prompts) > 1:
        yield Need("prompts", "prompt", "several prompts in one request")
    if not all(isinstance(prompt, str) for prompt in prompts):
        yield Need("token_ids", "prompt", "token ids")


def _is_neutral(name: str, value: Any) -> bool:
    """Return whether a value changes nothing; True is not 1 here."""
    return any(type(value) is type(other) and value == other for other in _NEUTRAL.get(name, ())) or (
        type(value) is float and value in _NEUTRAL.get(name, ()) and value == int(value)
    )


def describe(capabilities: Capabilities) -> ModelCapabilities:
    """Return the capabilities as the API and the nodes file name them."""
    parameters = None if capabilities.parameters is None else tuple(sorted(capabilities.parameters))
    return ModelCapabilities(tuple(name for name in FEATURES if name in capabilities.features), parameters)
