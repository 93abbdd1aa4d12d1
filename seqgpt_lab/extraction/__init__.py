"""Turns labels and a text into prompts, and what a model writes back into fields with offsets in that text."""
