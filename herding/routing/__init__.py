"""Routing: the choice of a model and a node for a request, and the queue in which requests wait for one."""
