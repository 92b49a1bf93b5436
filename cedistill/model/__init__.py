"""Backbones, the forward pass of pairs, and the re-ranker."""
