"""LLM teachers: rankings, grades and preferences asked of a server or a local model, and kept in a journal."""
