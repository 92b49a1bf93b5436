"""Configuration files: TOML in, validated and immutable objects out."""
