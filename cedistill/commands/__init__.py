"""The commands by theme, thin functions that the command line registers."""
