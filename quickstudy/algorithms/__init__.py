"""Learners and meta-algorithms, by family: what the inner loop changes."""
