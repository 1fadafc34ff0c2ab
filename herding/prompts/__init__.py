"""The prompt repository: what a prompt is, how it is rendered, where it is kept."""
