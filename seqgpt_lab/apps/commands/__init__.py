"""The commands of `seqgpt-lab`, one module each; heavy libraries are imported inside the functions that need them."""
