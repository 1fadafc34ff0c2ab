"""One prompt sent to a node that is not in the herd, with all that went to and fro."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import httpx

from herding.errors import HerdingError, NodeError
from herding.herd.node_call import NodeCall
from herding.nodes import catalog
from herding.nodes.base import Node
from herding.nodes.recorder import Recorder
from herding.nodes.spec import Spec
from herding.values import Call, Exchange, Message, Parameters

TRIAL_SECONDS = 30.0
MAX_PROMPT = 4_000
PARAMETERS = Parameters(temperature=0.7, max_tokens=100)


async def tried(spec: Spec, prompt: str, carrier: httpx.AsyncBaseTransport) -> Exchange:
    """Ask a node that `spec` says for its first model's answer to `prompt`; what goes wrong is in the exchange."""
    recorder = Recorder(carrier, secrets=spec.secrets.values())
    node = catalog.remote(spec.config, secret=spec.secrets.get, transport=recorder)
    began, said, error = time.perf_counter(), "", None
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            said = await _answer(node, spec.models, prompt[:MAX_PROMPT])
    except TimeoutError:
        error = f"There was no whole answer within {TRIAL_SECONDS:.0f} seconds."
    except HerdingError as problem:
        error = problem.message
    finally:
        await node.close()
    return Exchange(
        line=recorder.line,
        sent=recorder.sent,
        body=recorder.body,
        status=recorder.status,
        received=recorder.received,
        answer=recorder.answer,
        extracted=recorder.shown(said),
        error=recorder.shown(error) if error else None,
        milliseconds=(time.perf_counter() - began) * 1000,
    )


async def _answer(node: Node, models: tuple[str, ...], prompt: str) -> str:
    model = next(iter(models), None)
    if model is None:
        status = await node.status()
        model = next(iter(status.serves), None)
        if model is None:
            raise NodeError(status.detail or "It serves no model now.", node=node.name)
    running, said = NodeCall(node, Call("test", model, (Message("user", prompt),), parameters=PARAMETERS)), ""
    try:
        async with aclosing(running.chunks()) as chunks:
            async for chunk in chunks:
                said += chunk.text
    finally:
        await running.close()
    return said
