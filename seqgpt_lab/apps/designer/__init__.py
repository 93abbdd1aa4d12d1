"""Label design as a page: a session model without any widget, and the notebook widgets over it."""
