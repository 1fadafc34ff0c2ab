"""The Nodes tab: the nodes with their state, models and events."""
