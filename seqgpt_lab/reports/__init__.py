"""Runs notebooks, records the truth about each run and renders it as a page; knows nothing of models or extraction."""
