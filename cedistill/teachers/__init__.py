"""What produces teacher signals: rankers, combinations of them, and large language models."""
