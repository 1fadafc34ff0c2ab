"""Where Alembic meets our connection: it comes in open, inside a transaction, from `herding.store.migrate`."""

from __future__ import annotations

from alembic import context

from herding.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
