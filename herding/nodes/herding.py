"""A node for our engine on another machine, started there with `python -m herding.engine`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import httpx
from pydantic import Field, field_validator

from herding.errors import MisconfiguredError, NodeError, UserError
from herding.nodes.base import ENVIRONMENT_NAME, ON_DEMAND, AutoSwitch, BuildContext, RemoteConfig
from herding.nodes.engine.client import EngineClient
from herding.nodes.engine.node import EngineNode
from herding.nodes.http import is_header_value
from herding.nodes.origin import origin_of
from herding.values import NodeStatus


class HerdingConfig(RemoteConfig):
    """An engine in the nodes file. `secret_env` names the environment variable that holds the shared secret."""

    label: ClassVar[str] = "Remote engine"
    example_url: ClassVar[str] = "http://127.0.0.1:8100"
    key_help: ClassVar[str] = "HERDING_NODE_SECRET of the engine"

    kind: Literal["herding"]
    base_url: str
    secret_env: str = Field(default="HERDING_NODE_SECRET", pattern=ENVIRONMENT_NAME)
    concurrency: int | None = Field(default=8, ge=1)
    auto_switch: AutoSwitch | None = ON_DEMAND

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        origin_of(url)
        if "?" in url:
            raise ValueError("the URL of an engine has no query")
        return url.rstrip("/")

    @classmethod
    def with_secrets(cls, fields: Mapping[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
        if "SECRET" not in secrets:
            raise UserError("Enter the engine's secret as 'secret'.", param="secret")
        return {**fields, "secret_env": "SECRET"}

    def build(self, context: BuildContext) -> HerdingNode:
        return HerdingNode(self, secret=context.secret, transport=self.transport(context))


class HerdingNode(EngineNode):
    """Uses an engine that was started by somebody else."""

    refresh_seconds: ClassVar[float] = 0.5

    def __init__(
        self,
        config: HerdingConfig,
        *,
        secret: Callable[[str], str | None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(config, auto_switch=config.auto_switch)
        value = secret(config.secret_env) or ""
        self._has_secret = bool(value) and is_header_value(value)
        if not self._has_secret:
            detail = f"Set {config.secret_env} to the engine's secret to enable this node."
            self._status = NodeStatus("off", detail=detail)
        self._client = EngineClient(
            config.base_url,
            value if self._has_secret else "",
            name=config.name,
            deadlines=config.deadlines,
            transport=transport,
        )

    @property
    def expects(self) -> tuple[str, ...]:
        return self._loading

    async def start(self) -> None:
        if self._has_secret:
            await super().start()

    async def close(self) -> None:
        await super().close()
        await self._client.close()

    async def status(self) -> NodeStatus:
        if not self._has_secret:
            return self._status
        try:
            self._offers = self._offers or await self._client.models()
            status = await self._client.status(offers=self._offers)
            self._offers = tuple(model.id for model in status.models) or status.offers  # some may be removed by others
            self._update(replace(status, offers=self._offers), reachable=True)
        except MisconfiguredError:
            detail = "The engine rejected the secret. Enter the engine's own secret."
            self._update(NodeStatus("down", detail=detail), reachable=False)
        except NodeError as error:
            self._update(NodeStatus("down", offers=self._offers, detail=error.message), reachable=False)
        except UserError:
            self._update(NodeStatus("down", detail="The server there is not a Herding engine."), reachable=False)
        return self._status

    def _engine(self) -> EngineClient:
        return self._client

    def _rests(self) -> bool:
        return self._status.state not in ("starting", "loading") and not self._loading
