"""Runs a BLOOM-shaped model from token ids to token ids; knows no text, labels or documents."""
