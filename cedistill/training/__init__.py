"""The one trainer, its validation, its log and its checkpoints."""
