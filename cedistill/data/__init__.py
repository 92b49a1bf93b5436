"""Collections, runs, qrels, pairs and text lists: what is read from and written to disk."""
