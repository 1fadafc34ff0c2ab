"""Operations, and the API path of each.

Roles list API paths and the orchestrator checks operations, so that a role means the same in the API and in the UI.
"""

from __future__ import annotations

from typing import Final

RUN: Final = "run"
CHAT: Final = "chat"
EMBED: Final = "embed"
RATE: Final = "rate"
PROMPTS: Final = "prompts"
HISTORY: Final = "history"
NODES: Final = "nodes"
SWITCH_MODEL: Final = "switch_model"
MANAGE_NODES: Final = "manage_nodes"
MODELS: Final = "models"
INSIGHTS: Final = "insights"
USAGE: Final = "usage"
TOKENS: Final = "tokens"
USERS: Final = "users"
COLLECTIONS: Final = "collections"
DOCS: Final = "docs"
METRICS: Final = "metrics"

EDIT: Final = "edit"
SAVE: Final = "save"
PUBLISH: Final = "publish"
HISTORY_ALL: Final = "history_all"
ADMINISTER: Final = "administer"

RIGHTS: Final = frozenset({EDIT, SAVE, PUBLISH, HISTORY_ALL, ADMINISTER})
"""Rights beyond the paths: run edited templates, save and publish prompts, see the history of all users, manage
users and tokens."""

PATHS: Final = {
    "/api/v1/infer": RUN,
    "/api/v1/run/{prompt}": RUN,
    "/api/v1/requests/{request_id}/cancel": RUN,
    "/api/v1/prompts": PROMPTS,
    "/api/v1/prompts/{key}": PROMPTS,
    "/api/v1/prompts/{key}/versions": PROMPTS,
    "/api/v1/prompts/{key}/versions/{number}": PROMPTS,
    "/api/v1/prompts/{key}/diff": PROMPTS,
    "/api/v1/prompts/{key}/labels": PROMPTS,
    "/api/v1/prompts/{key}/labels/{label}": PROMPTS,
    "/api/v1/prompts/{key}/labels/{label}/take_back": PROMPTS,
    "/api/v1/prompts/{key}/yaml": PROMPTS,
    "/api/v1/prompts/{key}/resolve": PROMPTS,
    "/api/v1/prompts/{key}/draft": PROMPTS,
    "/api/v1/drafts": PROMPTS,
    "/api/v1/prompts.zip": PROMPTS,
    "/api/v1/conflicts": PROMPTS,
    "/api/v1/score": RATE,
    "/api/v1/feedback": RATE,
    "/api/v1/preference": RATE,
    "/api/v1/history": HISTORY,
    "/api/v1/history/{request_id}": HISTORY,
    "/api/v1/history.csv": HISTORY,
    "/api/v1/history.jsonl": HISTORY,
    "/api/v1/nodes": NODES,
    "/api/v1/nodes/events": NODES,
    "/api/v1/nodes/{node}/mend": MANAGE_NODES,
    "/api/v1/nodes/{node}/model": SWITCH_MODEL,
    "/api/v1/nodes/{node}/models": MANAGE_NODES,
    "/api/v1/nodes/{node}/files": MANAGE_NODES,
    "/api/v1/nodes/{node}": MANAGE_NODES,
    "/api/v1/nodes/added": MANAGE_NODES,
    "/api/v1/nodes/test": MANAGE_NODES,
    "/api/server/register": MANAGE_NODES,
    "/api/server/workers": MANAGE_NODES,
    "/api/server/offline": MANAGE_NODES,
    "/api/v1/models": MODELS,
    "/api/v1/models/small": MODELS,
    "/api/v1/insights/{prompt}": INSIGHTS,
    "/api/v1/insights/{prompt}/reset": INSIGHTS,
    "/api/v1/usage": USAGE,
    "/api/v1/usage.csv": USAGE,
    "/api/v1/allowed_tabs": USAGE,
    "/api/v1/me": USAGE,
    "/api/v1/me/sessions": USAGE,
    "/api/v1/tokens": TOKENS,
    "/api/v1/tokens/{token_id}": TOKENS,
    "/api/v1/tokens/{token_id}/rotate": TOKENS,
    "/api/v1/users": USERS,
    "/api/v1/users/{user_id}": USERS,
    "/api/v1/users/{user_id}/sessions": USERS,
    "/api/v1/roles": USERS,
    "/api/v1/chat/completions": CHAT,
    "/v1/chat/completions": CHAT,
    "/v1/completions": CHAT,
    "/v1/embeddings": EMBED,
    "/v1/rerank": EMBED,
    "/v1/models": MODELS,
    "/v1/models/{model}": MODELS,
    "/api/v1/collections": COLLECTIONS,
    "/api/v1/collections/{collection}": COLLECTIONS,
    "/api/v1/collections/{collection}/documents": COLLECTIONS,
    "/api/v1/collections/{collection}/chunks": COLLECTIONS,
    "/api/v1/collections/{collection}/jobs/{job}": COLLECTIONS,
    "/api/v1/collections/{collection}/query": COLLECTIONS,
    "/docs": DOCS,
    "/openapi.json": DOCS,
    "/metrics": METRICS,
}
"""The operation of each path of the API, in the form of its routes."""

TABS: Final = (
    "engineer",
    "overview",
    "versions",
    "history",
    "review",
    "compare",
    "insights",
    "knowledge",
    "nodes",
    "usage",
    "access",
)
"""The tabs of the UI in their order; each has a folder of its name in `ui/`."""

OLDER_TABS: Final = {"promptengineer": "engineer", "prompts": "overview", "ownhistory": "history", "llamas": "nodes"}
"""Names of tabs in older roles files, in lower case."""
