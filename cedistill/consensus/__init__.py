"""Consensus over generations: students learn what several rankers agree on for queries without labels."""
