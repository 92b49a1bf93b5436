"""Studies: a grid of backbones, objectives and seeds, trained and evaluated cell by cell."""
