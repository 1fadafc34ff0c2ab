"""The Compare tab: the same inputs for several prompts, versions, models or parameters, side by side."""
