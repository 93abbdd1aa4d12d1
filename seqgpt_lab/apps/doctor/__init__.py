"""The machine check: what is here, what is expected, why it matters, how to mend it. Reads only: it ends no process, resets no card."""
