"""Trust verdicts: bytes in, findings out. No module here reads a file, a clock, the network or the environment."""
