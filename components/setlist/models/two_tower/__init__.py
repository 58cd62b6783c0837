"""The two-tower model: what it learns from, its network, its training and what ships of it."""
