"""What notebooks ask, answered as tables and sentences: evaluations, wording, speed, plans, claims; draws and prints nothing."""
