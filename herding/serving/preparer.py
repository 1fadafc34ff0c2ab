"""Prepares requests: checks and renders what was asked before it runs, and fits it into the context of a node."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from herding.errors import UserError
from herding.knowledge.retrieval import Retrieved, Retriever
from herding.nodes.base import Node
from herding.nodes.capabilities import Need, needs_of
from herding.plugins import Plugins
from herding.prompts.compose import NO_PROMPT, RenderedPrompt, compose, render_free_input, utf8_size
from herding.prompts.model import Prompt
from herding.prompts.parameters import PromptParameters, check_parameters
from herding.prompts.steps import RESPONSE, OutputType, as_given
from herding.prompts.variables import Value, clean_parameter, fill_async
from herding.serving.chain_plan import ChainPlan, ChainPlanner, PlannedStep
from herding.serving.conversation import recall
from herding.serving.filters import check_filters
from herding.serving.request import PreparedRequest
from herding.serving.sources import VariableSources
from herding.serving.usage_bounds import ANSWER_TOKENS, BYTES_PER_TOKEN
from herding.store import Store
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import EmbeddingInput, Message, Parameters, Principal, Reference, Request, Usage, new_id

MAX_TURNS = 200
MAX_TEXTS = 2048
MAX_CHARS = 1_000_000
MAX_PAIRED_CHARS = 4_000_000
"""Characters of a query times the documents that it is read with."""

_NO_VERSION = RunnableVersion("", 0, NO_PROMPT)
"""The version of a request without a prompt."""


class Preparer:
    """Makes prepared requests.

    Every method raises UserError, which names what is wrong, and AccessError where an unsaved edit takes a right.
    """

    def __init__(
        self,
        *,
        prompts: PromptCatalog,
        retriever: Retriever,
        store: Store,
        clock: Callable[[], int],
        plugins: Plugins,
    ) -> None:
        self._prompts, self._retriever, self._store, self._clock = prompts, retriever, store, clock
        self._sources = VariableSources(plugins)
        self._plugins = plugins
        self._planner = ChainPlanner(prompts)

    async def prepare(self, request: Request, who: Principal) -> PreparedRequest:
        """Return the request with its prompt rendered, the turns of its session and its parameters."""
        if request.model:
            clean_parameter(request.model, "model")
        elif request.model is not None:  # an empty name is none
            request = replace(request, model=None)
        if not request.prompt:
            if request.session_id is not None:
                request = await recall(request, who, store=self._store)
            rendered, parameters = render_free_input(request), check_parameters(request.parameters)
            needs = _needs(rendered, parameters, parameters, request.prompts)
            return self._request(
                request, who, _NO_VERSION, NO_PROMPT, rendered=rendered, parameters=parameters, needs=needs
            )
        found, prompt = await self._prompts.resolve_request(request, who)
        values = await self._values(found.key, prompt, request, who)
        if request.session_id is not None:
            request = await recall(request, who, store=self._store, prompt=found)
        if prompt.steps:
            return await self._prepare_chain(request, found, prompt, values, who)
        return await self._prepare_prompt(request, found, prompt, values, who)

    async def _prepare_prompt(
        self, request: Request, found: RunnableVersion, prompt: Prompt, values: dict[str, Value], who: Principal
    ) -> PreparedRequest:
        """Return a run of a prompt's text with checked values."""
        retrieved = await self._fill_context(prompt, values, request, who)
        turns = _checked_turns(request)
        own = check_parameters(request.parameters)
        parameters = own.over(prompt.parameters.value)
        if prompt.filters:
            check_filters(prompt.filters, parameters, self._plugins)
        rendered = compose(
            prompt, values, turns, attachments=request.attachments, after=request.after, fields=request.fields
        )
        return self._request(
            request,
            who,
            found,
            prompt,
            rendered=rendered,
            parameters=parameters,
            variables=values,
            needs=_needs(rendered, parameters, own, None),
            references=None if retrieved is None else retrieved.references,
        )

    async def _prepare_chain(
        self,
        request: Request,
        found: RunnableVersion,
        prompt: Prompt,
        values: dict[str, Value],
        who: Principal,
        *,
        plan: ChainPlan | None = None,
    ) -> PreparedRequest:
        """Return a run of a prompt with steps. `plan` is that of a chain which is a step itself."""
        own = check_parameters(request.parameters)
        _refuse_for_chain(request, own)
        if prompt.filters:
            check_filters(prompt.filters, own, self._plugins)
        plan = plan or await self._planner.plan(found.key, prompt, values, request, who)
        request = replace(request, response_format=None)  # that of its last step
        nothing = RenderedPrompt(text="")
        return self._request(
            request, who, found, prompt, rendered=nothing, parameters=own, variables=values, chain=plan
        )

    def _request(
        self,
        request: Request,
        who: Principal,
        found: RunnableVersion,
        prompt: Prompt,
        *,
        rendered: RenderedPrompt,
        parameters: Parameters,
        variables: Mapping[str, Value] | None = None,
        needs: tuple[Need, ...] = (),
        references: tuple[Reference, ...] | None = None,
        chain: ChainPlan | None = None,
    ) -> PreparedRequest:
        """Return a prepared request for the version that was found, of which `prompt` may be an unsaved edit."""
        return PreparedRequest(
            id=new_id(),
            arrived_at=self._clock(),
            principal=who,
            key=found.key,
            prompt=prompt,
            version=found.number,
            edited=prompt is not found.prompt or (not found.number and found is not _NO_VERSION),
            rendered=rendered,
            parameters=parameters,
            variables=variables or {},
            session_id=request.session_id,
            model=request.model,
            response_format=request.response_format,
            needs=needs,
            references=references,
            chain=chain,
            bound=chain.most if chain else None,
        )

    async def prepare_step(
        self, chain: PreparedRequest, planned: PlannedStep, values: Mapping[str, Any], *, name: str, is_last: bool
    ) -> PreparedRequest:
        """Return the request of a step of a chain, with the variables that are known by now.

        The last step gets the model, the parameters and the response format that the caller of the chain gave.
        """
        found, who = planned.found, chain.principal
        asked = chain.chain.request if chain.chain and is_last else Request()
        given = as_given(found.prompt.variables, planned.step.given(values))
        request = replace(_response_of(asked), prompt=planned.reference, variables=given)
        checked = await self._values(found.key, found.prompt, request, who)
        if planned.plan:
            made = await self._prepare_chain(request, found, found.prompt, checked, who, plan=planned.plan)
        else:
            made = await self._prepare_prompt(request, found, found.prompt, checked, who)
        return replace(made, parent=chain.id, step=name)

    async def prepare_text(self, chain: PreparedRequest, values: Mapping[str, Any]) -> PreparedRequest:
        """Return the request of the text of a chain, with all variables that its steps filled."""
        asked = chain.chain.request if chain.chain else Request()
        found = RunnableVersion(chain.key, chain.version, chain.prompt)
        made = await self._prepare_prompt(_response_of(asked), found, chain.prompt, dict(values), chain.principal)
        return replace(made, edited=chain.edited, parent=chain.id, step=RESPONSE)

    def prepare_embeddings(
        self,
        model: str,
        texts: Sequence[EmbeddingInput],
        who: Principal,
        *,
        dimensions: int | None = None,
        parameters: Parameters | None = None,
    ) -> PreparedRequest:
        """Return a request for embeddings; its input is the list of texts as JSON."""
        _check_texts(texts)
        is_text = all(isinstance(text, str) for text in texts)
        return PreparedRequest(
            id=new_id(),
            arrived_at=self._clock(),
            principal=who,
            prompt=NO_PROMPT,
            rendered=RenderedPrompt(text=json.dumps(list(texts), ensure_ascii=False)),
            model=clean_parameter(model, "model"),
            parameters=check_parameters(parameters or Parameters()),
            texts=tuple(texts),
            dimensions=dimensions,
            needs=() if is_text else (Need("token_ids", "input", "token ids"),),
        )

    def prepare_rerank(self, model: str, query: str, documents: Sequence[str], who: Principal) -> PreparedRequest:
        """Return a request for the scores of documents; its input is the query and the documents as JSON."""
        clean_parameter(query, "query", subject="The query")
        if not query.strip():
            raise UserError("Enter a query.", param="query")
        _check_texts(documents, param="documents")
        if len(query) * len(documents) > MAX_PAIRED_CHARS:
            message = f"The query has too many characters for {len(documents):,} documents. Shorten it."
            raise UserError(message, param="query")
        read = utf8_size(query) * len(documents) + sum(map(utf8_size, documents))
        return PreparedRequest(
            id=new_id(),
            arrived_at=self._clock(),
            principal=who,
            prompt=NO_PROMPT,
            rendered=RenderedPrompt(
                text=json.dumps({"query": query, "documents": list(documents)}, ensure_ascii=False)
            ),
            model=clean_parameter(model, "model"),
            texts=tuple(documents),
            query=query,
            bound=Usage(-(-read // BYTES_PER_TOKEN), 0),  # the query is read with each document
        )

    async def retrieve(self, request: Request, who: Principal) -> Retrieved | None:
        """Return what a run of `request` would retrieve; None for a prompt without retrieval."""
        found, prompt = await self._prompts.resolve_request(request, who)
        values = await self._values(found.key, prompt, request, who)
        return await self._retrieve(prompt, values, request, who)

    async def _values(self, key: str, prompt: Prompt, request: Request, who: Principal) -> dict[str, Value]:
        """Return a value for each variable, with those that their sources give."""
        values = await fill_async(prompt.variables, request.variables)
        if any(variable.source for variable in prompt.variables.values()):
            await self._sources.fill(key, prompt.variables, request.variables, values, who)
        return values

    async def _fill_context(
        self, prompt: Prompt, values: dict[str, Value], request: Request, who: Principal
    ) -> Retrieved | None:
        """Put what the retrieval of a prompt finds into its variable, and return it."""
        retrieved = await self._retrieve(prompt, values, request, who)
        if prompt.retrieval and retrieved:
            values[prompt.retrieval.into] = retrieved.text or values[prompt.retrieval.into]
        return retrieved

    async def _retrieve(
        self, prompt: Prompt, values: Mapping[str, Value], request: Request, who: Principal
    ) -> Retrieved | None:
        """Return what the retrieval of a prompt finds, nothing where its variable was filled by the caller.

        The collection of the request is searched instead of the prompt's own, and chunks that it brings along replace
        what would be found.
        """
        retrieval, collection = prompt.retrieval, request.collection
        if retrieval is None:
            if collection:
                message = f"The prompt '{prompt.name}' does not search a collection. Choose one with 'retrieval'."
                raise UserError(message, param="collection")
            return None
        if values[retrieval.into]:
            return Retrieved()
        if collection:
            retrieval = retrieval.model_copy(update={"collection": clean_parameter(collection, "collection")})
        if request.context is not None:
            return await self._retriever.given(retrieval, request.context, who)
        return await self._retriever.retrieve(retrieval, values, who)

    async def render(self, request: Request, who: Principal) -> RenderedPrompt:
        """Return what a run of `request` sends to a model, with what its sources and its retrieval fill.

        A chain has no such text: UserError.
        """
        found, prompt = await self._prompts.resolve_request(request, who)
        if prompt.steps:
            message = f"The prompt '{found.key}' has steps that run on models. Run it instead."
            raise UserError(message, param="prompt")
        values = await self._values(found.key, prompt, request, who)
        await self._fill_context(prompt, values, request, who)
        return replace(compose(prompt, values, request.turns or ()), notes=prompt.notes)

    async def preview(self, request: Request, who: Principal) -> RenderedPrompt:
        """Return what a run of `request` would send to a model, and which variant it picks."""
        found, prompt = await self._prompts.resolve_request(request, who)
        values = await fill_async(prompt.variables, request.variables)
        if prompt.steps:
            await self._planner.plan(found.key, prompt, values, request, who)
            if not prompt.has_text:
                return RenderedPrompt(text="", notes=prompt.notes)
            values = {**_unfilled(prompt), **values}
        rendered = compose(prompt, values, request.turns or ())
        return replace(rendered, notes=prompt.notes)


def _response_of(request: Request) -> Request:
    """Return what the caller of a chain asked of the call that makes the response."""
    return Request(
        model=request.model,
        parameters=request.parameters,
        response_format=request.response_format,
        collection=request.collection,
    )


def _refuse_for_chain(request: Request, own: Parameters) -> None:
    """Raise UserError for what a chain can't do."""
    refused = {
        "turns": (bool(request.turns), "earlier turns"),
        "messages": (bool(request.attachments or request.after or request.fields), "images, files or tool calls"),
        "tools": (any(own.more.get(name) for name in ("tools", "functions")), "tools"),
    }
    for param, (given, what) in refused.items():
        if given:
            raise UserError(f"A prompt with steps takes no {what}. Leave them out.", param=param)
    if own.responses > 1:
        raise UserError("A prompt with steps gives one response. Leave out 'n' and 'best_of'.", param="n")


def _unfilled(prompt: Prompt) -> dict[str, Value]:
    """Return the name of each variable that steps fill, in double braces; those that conditions read are empty."""
    kinds = {name: kind for step in prompt.steps or () for name, kind in step.outputs.items()}
    blanks: dict[OutputType, Value] = {"number": 0, "boolean": False, "list": []}
    return {name: blanks.get(kind, f"{{{{{name}}}}}") for name, kind in kinds.items()}


_KNOWN = PromptParameters.model_fields.keys()


def _needs(
    rendered: RenderedPrompt, parameters: Parameters, own: Parameters, prompts: tuple[Any, ...] | None
) -> tuple[Need, ...]:
    """Return what a node must be able to do for a request whose caller gave the parameters `own`.

    Names that Herding does not know are no need: a node that does not take them is called without them.
    """
    if rendered.is_text and not parameters.more and prompts is None:
        return ()
    named = own.more.keys() & _KNOWN if own.more else ()
    return needs_of(messages=rendered.messages or (), parameters=parameters, own=named, prompts=prompts)


def _checked_turns(request: Request) -> tuple[Message, ...]:
    """Return the last earlier turns of a chat."""
    turns = request.turns or ()
    for turn in (*turns, *request.after):
        clean_parameter(turn.content, "turns")
    return turns[-MAX_TURNS:]


def _check_texts(texts: Sequence[EmbeddingInput], *, param: str = "input") -> None:
    """Raise UserError for texts that no node can embed, or score."""
    what = "texts" if param == "input" else param
    if not 0 < len(texts) <= MAX_TEXTS:
        raise UserError(f"Send 1 to {MAX_TEXTS:,} {what}.", param=param)
    if not all(texts):
        empty = "An empty text has no embedding." if param == "input" else "A document is empty."
        raise UserError(f"{empty} Leave it out.", param=param)
    if sum(map(len, texts)) > MAX_CHARS:
        message = f"The {what} have more than {MAX_CHARS:,} characters together. Send them in several requests."
        raise UserError(message, param=param)
    for text in texts:
        if isinstance(text, str):
            clean_parameter(text, param, subject="A text")


async def fit_to_context(request: PreparedRequest, chat: RenderedPrompt, node: Node, model: str) -> RenderedPrompt:
    """Return a chat without its oldest turns, as far as input and output would not fit into the context of a model."""

    async def fits(dropped: int) -> bool:
        size = await node.count(request.call(model, chat.without_oldest_turns(dropped), request.parameters))
        if size is None:
            return True
        tokens, context = size
        return tokens + min(request.parameters.output_limit or ANSWER_TOKENS, context // 2) <= context

    if await fits(0):
        return chat
    return chat.without_oldest_turns(await _fewest_turns(fits, chat.turns))


async def _fewest_turns(fits: Callable[[int], Awaitable[bool]], turns: int) -> int:
    """Return the fewest oldest turns to drop, in pairs of question and answer, so that the rest fits."""
    low, high = 1, -(-turns // 2)
    while low < high:
        middle = (low + high) // 2
        if await fits(2 * middle):
            high = middle
        else:
            low = middle + 1
    return min(2 * low, turns)
