"""What this machine has for training and benchmarking, and what to do about what it lacks."""
