"""The Model Context Protocol: prompts, tools and history for assistants, over the orchestrator."""
