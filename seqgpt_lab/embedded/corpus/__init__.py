"""Synthetic Chinese business documents with gold fields; knows nothing of prompts, tokens or models."""
