"""Exact and approximate planning: what yardsticks are made of."""
