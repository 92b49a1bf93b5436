"""Measures, paired tests and the metrics of runs."""
