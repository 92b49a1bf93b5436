"""First-stage candidates."""
