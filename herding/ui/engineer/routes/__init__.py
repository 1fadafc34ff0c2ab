"""The routes of the Prompt engineer tab, by what they are for; the tab inherits them."""
