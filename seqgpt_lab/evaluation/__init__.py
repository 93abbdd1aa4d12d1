"""Measures extractions against gold fields and names the mistakes; loads no model."""
