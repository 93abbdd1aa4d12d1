"""Makes the small model that ships with the lab: its tokenizer, its synthetic documents and its training."""
