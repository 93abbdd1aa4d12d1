"""Training's attention, activation and loss for a CPU in C++, compiled where training begins; knows packed rows, no model."""
