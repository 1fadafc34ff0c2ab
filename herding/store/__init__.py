"""The database: the history of requests with their scores and comments, the versions of prompts, users, tokens, limits.

The only room that knows SQLModel, SQLAlchemy and Alembic.
"""

from herding.store.queries import Facets
from herding.store.store import Store, StoreStatus, now_ms

__all__ = ["Facets", "Store", "StoreStatus", "now_ms"]
