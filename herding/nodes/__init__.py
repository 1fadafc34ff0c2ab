"""Nodes: places that run models. One abstract class, one file a kind."""
