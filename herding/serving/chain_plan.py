"""Plans a chain before it starts: its steps at fixed versions, and the most that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from herding.errors import HerdingError, StatusError, UserError
from herding.prompts.compose import utf8_size
from herding.prompts.model import Prompt, Template
from herding.prompts.render import split
from herding.prompts.steps import ITEM, MAX_DEPTH, RESPONSE, Step
from herding.prompts.variables import Value, show
from herding.serving.usage_bounds import ANSWER_TOKENS, BYTES_PER_TOKEN
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import Parameters, Principal, Request, Usage

MAX_CALLS = 200
"""Calls of models that a chain may make at most."""

OUTPUT_BYTES_PER_TOKEN = 6
"""Few tokens of a response have more, so that what it fills in later steps is not estimated too small."""

MESSAGE_BYTES = 60
"""The size of a message of a chat without its text."""

Sizes = Mapping[str, int]
"""The size of each variable in bytes, at most."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of a model that a chain may make: its prompt, the model asked for, and the most that it may use.

    `count` is how often it may be made.
    """

    prompt: Prompt
    model: str | None
    most: Usage
    count: int = 1


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step with the version of its prompt; `plan` is that of a step which is a chain itself."""

    step: Step
    found: RunnableVersion
    plan: ChainPlan | None = None

    @property
    def reference(self) -> str:
        """The version as `key@number`, or the key alone for one that is not saved."""
        return f"{self.found.key}@{self.found.number}" if self.found.number else self.found.key


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """The steps of a chain, and all calls that it may make.

    `request` is that of the caller: its model, parameters and format are those of the call that makes the response.
    """

    steps: tuple[PlannedStep, ...]
    calls: tuple[PlannedCall, ...]
    request: Request

    @property
    def count(self) -> int:
        """The number of calls that the chain may make."""
        return sum(call.count for call in self.calls)

    @property
    def most(self) -> Usage:
        """The most tokens that the chain may use."""
        read = sum(call.count * call.most.input_tokens for call in self.calls)
        return Usage(read, sum(call.count * call.most.output_tokens for call in self.calls))


class ChainPlanner:
    """Makes plans. Every step's prompt must be one that the caller may run."""

    def __init__(self, prompts: PromptCatalog) -> None:
        self._prompts = prompts

    async def plan(
        self, key: str, prompt: Prompt, values: Mapping[str, Value], request: Request, who: Principal
    ) -> ChainPlan:
        """Return the plan of a chain. Raises UserError, NotFoundError or AccessError, which name the step at fault."""
        sizes = {name: utf8_size(show(value)) for name, value in values.items()}
        plan = await self._plan(key, prompt, sizes, request, who, values=values, path=())
        if plan.count > MAX_CALLS:
            message = (
                f"This chain may call models {plan.count:,} times (max {MAX_CALLS}). Lower max_items of its steps."
            )
            raise UserError(message, param="steps")
        return plan

    async def _plan(
        self,
        key: str,
        prompt: Prompt,
        sizes: Sizes,
        request: Request,
        who: Principal,
        *,
        values: Mapping[str, Value],
        path: tuple[str, ...],
    ) -> ChainPlan:
        if key in path or len(path) >= MAX_DEPTH:
            why = "runs itself" if key in path else f"has more than {MAX_DEPTH} levels"
            raise UserError(f"The chain {why}: {' -> '.join((*path, key))}.", param="prompt")
        known, planned, calls = dict(sizes), list[PlannedStep](), list[PlannedCall]()
        steps = prompt.steps or []
        for place, step in enumerate(steps):
            is_last = place == len(steps) - 1 and not prompt.has_text
            asked = request if is_last else Request()
            try:
                found = await self._prompts.resolve(step.prompt, who)
                _check_variables(step, found)
                count = len(step.items(values)) if step.each in values else step.max_items if step.each else 1
                given = _given(step, found.prompt, known)
                plan = None
                if found.prompt.steps:
                    plan = await self._plan(found.key, found.prompt, given, asked, who, values={}, path=(*path, key))
            except HerdingError as error:
                raise named(error, step.title) from None
            made = plan.calls if plan else (_call(found.prompt, given, asked),)
            calls += [PlannedCall(call.prompt, call.model, call.most, call.count * count) for call in made]
            planned.append(PlannedStep(step, found, plan))
            output = made[-1].most.output_tokens * OUTPUT_BYTES_PER_TOKEN
            otherwise = _size(step.otherwise, known) if step.otherwise else 0
            known |= dict.fromkeys(step.outputs, max(output * max(1, count), otherwise))
        if prompt.has_text:
            calls.append(_call(prompt, known, request))
        return ChainPlan(tuple(planned), tuple(calls), request)


def named(error: HerdingError, step: str) -> HerdingError:
    """Return a copy of an error that names the step of a chain which failed."""
    kind = type(error)
    made = kind.__new__(kind)  # a copy, since others may hold the error; no two kinds are made in the same way
    made.__dict__.update(error.__dict__)
    inner = error.step
    cause = error.message if inner is None else error.message.removeprefix(_prefix(inner))
    made.step = step if inner is None else f"{step} > {inner}"
    made.message = f"{_prefix(made.step)}{cause}"
    made.args = (made.message,)
    made.request_id = None
    if isinstance(made, StatusError):  # its own words do not name the step
        made.reported = replace(made.reported, message="")
    if isinstance(made, UserError) and step != RESPONSE:  # it is of the step's prompt
        made.param = None
    return made


def _prefix(step: str) -> str:
    return f"Step '{step}' failed: "


def _check_variables(step: Step, found: RunnableVersion) -> None:
    """Raise UserError for values that the prompt of a step does not take, and for missing ones."""
    variables = found.prompt.variables
    for name in step.variables:
        if name not in variables:
            known = ", ".join(variables) or "none"
            raise UserError(f"The prompt '{found.key}' has no variable '{name}'. Its variables: {known}.")
    for name, variable in variables.items():
        if variable.must_be_given and not variable.source and name not in step.variables:
            raise UserError(f"The prompt '{found.key}' needs a value for '{name}'. Add it to the step's variables.")


def _given(step: Step, prompt: Prompt, known: Sizes) -> dict[str, int]:
    """Return the sizes of the variables of a step's prompt."""
    sizes = {**known, ITEM: known.get(step.each or "", 0)}
    given = {name: utf8_size(show(variable.start)) for name, variable in prompt.variables.items()}
    for name, value in step.variables.items():
        parts = value if isinstance(value, list) else [value]
        given[name] = sum(_size(part, sizes) if isinstance(part, str) else len(show(part)) + 2 for part in parts)
    return given


def _call(prompt: Prompt, sizes: Sizes, request: Request) -> PlannedCall:
    """Return the call of a prompt that is no chain, or of the text of a chain."""
    if prompt.retrieval:
        found = prompt.retrieval.max_tokens * OUTPUT_BYTES_PER_TOKEN
        sizes = {**sizes, prompt.retrieval.into: max(found, sizes.get(prompt.retrieval.into, 0))}
    read = max(_template_size(template, sizes) for template in prompt.templates())
    parameters: Parameters = request.parameters.over(prompt.parameters.value)
    most = Usage(-(-read // BYTES_PER_TOKEN), parameters.output_limit or ANSWER_TOKENS)
    return PlannedCall(prompt, request.model, most)


def _template_size(template: Template, sizes: Sizes) -> int:
    messages = template.messages or ()
    own = sum(MESSAGE_BYTES + _size(message.content, sizes) for message in messages) + _size(template.prompt, sizes)
    return max([own, *(_size(text, sizes) for text in (template.families or {}).values())])


def _size(text: str | None, sizes: Sizes) -> int:
    """Return the bytes of a text with its values."""
    pieces = split(text or "")
    return sum(map(utf8_size, pieces[::2])) + sum(sizes.get(name, 0) for name in pieces[1::2])
