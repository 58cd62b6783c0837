"""Models: the contract that every model keeps, the heuristics and the two-tower."""
