"""Handlers of the protocol: each request goes to a service of the orchestrator, which checks the caller."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from herding import __version__
from herding.access.operations import HISTORY, RUN
from herding.errors import BROKEN, HerdingError, NotFoundError, UserError
from herding.mcp.tools import Tools
from herding.orchestrator import Orchestrator
from herding.prompts.variables import Variable
from herding.studio.version_cache import RunnableVersion
from herding.values import Entry, HistoryFilter, Outcome, Principal, Request

INSTRUCTIONS = (
    "Prompts are templates of this workbench, with their variables as arguments. The tool run_prompt runs one on a "
    "model and returns the response with its request_id. Rate it with the tool rate."
)
SCHEME = "herding://history/"
PAGE = 100
"""Prompts or requests in one page of a list."""

NOT_FOUND = -32002
"""The protocol's code for a resource that does not exist."""

Context = ServerRequestContext[Any]
PageParams = types.PaginatedRequestParams | None

log = logging.getLogger(__name__)


def create_server(orchestrator: Orchestrator) -> Server[Any]:
    """Return the server with all handlers."""
    handlers = _Handlers(orchestrator)
    return Server(
        "herding",
        title="Herding",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_resource_templates,
        on_read_resource=handlers.read_resource,
    )


class _Handlers:
    """The handlers of requests. Lists show what the role of the caller may use; all else is refused by the services."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator, self._tools = orchestrator, Tools(orchestrator)

    async def list_prompts(self, context: Context, params: PageParams) -> types.ListPromptsResult:
        """List the live versions of the prompts that the caller may run."""
        who = caller(context)
        if RUN not in who.rights:
            return types.ListPromptsResult(prompts=[])
        async with _errors():
            visible = await self._orchestrator.prompts.runnable(who)
            start = _offset(params)
            following = str(start + PAGE) if start + PAGE < len(visible) else None
            found = [_prompt(version) for version in visible[start : start + PAGE]]
            return types.ListPromptsResult(prompts=found, next_cursor=following)

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Render a prompt with its arguments."""
        who = caller(context)
        async with _errors():
            found = await self._orchestrator.prompts.find(params.name, who)
            if found.prompt.steps:
                message = f"The prompt '{found.key}' has steps that run on models. Call the tool run_prompt."
                raise UserError(message, param="name")
            request = Request(f"{found.key}@{found.number}", params.arguments or {})
            rendered = await self._orchestrator.pipeline.render(request, who)
            if rendered.messages is None:
                messages = [_message("user", rendered.text or "")]
            else:
                messages = [_message(message.role, message.content) for message in rendered.messages]
            return types.GetPromptResult(description=found.prompt.description or found.prompt.name, messages=messages)

    async def list_tools(self, context: Context, _params: PageParams) -> types.ListToolsResult:
        """List the tools that the role of the caller allows."""
        return types.ListToolsResult(tools=self._tools.listing(caller(context)))

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Call a tool. What it refuses is its result, so that a model can read it and correct the call."""
        who = caller(context)
        try:
            content, structured = await self._tools.call(
                params.name, params.arguments or {}, who, context.session.report_progress
            )
        except HerdingError as error:
            content, structured = error.message, {"error": _detail(error)}
        except Exception:
            log.exception("Tool '%s' failed inside Herding", params.name[:80])
            content, structured = BROKEN, {"error": _detail(HerdingError(BROKEN))}
        else:
            return types.CallToolResult(content=[types.TextContent(text=content)], structured_content=structured)
        return types.CallToolResult(
            content=[types.TextContent(text=content)], structured_content=structured, is_error=True
        )

    async def list_resources(self, context: Context, params: PageParams) -> types.ListResourcesResult:
        """List the requests of the history that the caller may see, newest first; a chain names those of its steps."""
        who = caller(context)
        if HISTORY not in who.rights:
            return types.ListResourcesResult(resources=[])
        async with _errors():
            start = _offset(params)
            page = await self._orchestrator.history.page(HistoryFilter(steps=False), who, offset=start, limit=PAGE)
            following = str(start + PAGE) if page.more or start + PAGE < page.total else None
            found = [_resource(entry.outcome) for entry in page.entries]
            return types.ListResourcesResult(resources=found, next_cursor=following)

    async def list_resource_templates(self, context: Context, _params: PageParams) -> types.ListResourceTemplatesResult:
        """Describe the address of a request in the history."""
        if HISTORY not in caller(context).rights:
            return types.ListResourceTemplatesResult(resource_templates=[])
        template = types.ResourceTemplate(
            name="request",
            title="Request in the history",
            uri_template=f"{SCHEME}{{request_id}}",
            description="A request with its input, response, ratings and metrics",
            mime_type="application/json",
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return a request of the history as JSON."""
        who, uri = caller(context), str(params.uri)
        async with _errors():
            if not uri.startswith(SCHEME):
                raise NotFoundError(f"There is no resource '{uri[:200]}'. Use {SCHEME}<request_id>.", param="uri")
            entry = await self._orchestrator.history.entry(uri.removeprefix(SCHEME), who)
            text = json.dumps(_entry(entry), ensure_ascii=False, indent=2)
            contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=text)
            return types.ReadResourceResult(contents=[contents])


def caller(context: Context) -> Principal:
    """Return the principal of the HTTP request that carries a message; a session may have many of these."""
    if context.request is None:
        raise MCPError(types.INVALID_REQUEST, "Send requests over HTTP.")
    principal: Principal = context.request.scope["state"]["principal"]
    return principal


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Turn errors of services into errors of the protocol."""
    try:
        yield
    except NotFoundError as error:
        code = NOT_FOUND if error.param in ("uri", "request_id") else types.INVALID_PARAMS
        raise MCPError(code, error.message, _detail(error)) from None
    except HerdingError as error:
        code = types.INVALID_PARAMS if isinstance(error, UserError) else types.INVALID_REQUEST
        raise MCPError(code, error.message, _detail(error)) from None


def _detail(error: HerdingError) -> dict[str, Any]:
    """Return an error as the native API describes it."""
    wait = getattr(error, "retry_after", None)
    given = {"type": error.type, "message": error.message, "param": error.param, "request_id": error.request_id}
    return given if wait is None else given | {"retry_after": wait}


def _offset(params: PageParams) -> int:
    cursor = params.cursor if params else None
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise UserError("This cursor is not one of this server. Start without a cursor.", param="cursor")
    return int(cursor)


def _prompt(version: RunnableVersion) -> types.Prompt:
    prompt = version.prompt
    arguments = [_argument(name, variable) for name, variable in prompt.variables.items()]
    return types.Prompt(
        name=version.key,
        title=prompt.name,
        description=prompt.description or None,
        arguments=arguments,
        _meta={"herding/version": version.number, "herding/tags": list(prompt.tags)},
    )


def _argument(name: str, variable: Variable) -> types.PromptArgument:
    """Describe a variable: the protocol has no types for arguments, so the description says it."""
    fields = variable.model_dump(exclude_none=True, exclude={"description", "required"})
    said = ", ".join(f"{key}: {_show(value)}" for key, value in fields.items() if key != "type")
    kind = str(fields["type"]).replace("_", " ")
    description = f"{variable.description.rstrip('.')}. " if variable.description else ""
    return types.PromptArgument(
        name=name,
        description=f"{description}Type: {kind}{f' ({said})' if said else ''}.",
        required=variable.must_be_given,
    )


def _show(value: object) -> str:
    """Return a default or a bound of a variable as JSON, with whole numbers without a point."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole, ensure_ascii=False, default=str)[:200]


def _message(role: str, text: str) -> types.PromptMessage:
    """Return a message; the protocol knows no system messages, which come as the user's."""
    return types.PromptMessage(
        role="assistant" if role == "assistant" else "user", content=types.TextContent(text=text)
    )


def _resource(outcome: Outcome) -> types.Resource:
    title = f"{outcome.prompt or outcome.kind} · {outcome.status}"
    return types.Resource(
        uri=f"{SCHEME}{outcome.request_id}",
        name=outcome.request_id,
        title=title,
        description=outcome.answer[:200] or outcome.error,
        mime_type="application/json",
    )


def _entry(entry: Entry) -> dict[str, Any]:
    outcome = entry.outcome
    return {
        "request_id": outcome.request_id,
        "user": outcome.principal,
        "created_at": outcome.created_at,
        "kind": outcome.kind,
        "prompt": outcome.prompt or None,
        "version": outcome.version,
        "variant": outcome.variant,
        "variables": dict(outcome.variables),
        "input": outcome.input,
        "text": outcome.answer,
        "model": outcome.model,
        "node": outcome.node,
        "status": outcome.status,
        "finish_reason": outcome.finish_reason,
        "input_tokens": outcome.usage.input_tokens,
        "output_tokens": outcome.usage.output_tokens,
        "cost": outcome.dollars,
        "total_ms": round(outcome.timings.total_ms, 1),
        "checks_passed": outcome.checks.ok,
        "error": outcome.error,
        "parent": outcome.parent,
        "step": outcome.step,
        "steps": None if outcome.steps is None else [asdict(step) for step in outcome.steps],
        "references": None if outcome.references is None else [asdict(one) for one in outcome.references],
        "ratings": [
            {"user": rating.principal, "stars": rating.stars, "comment": rating.comment} for rating in entry.ratings
        ],
    }
