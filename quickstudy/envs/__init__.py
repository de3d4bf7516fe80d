"""Environments and the task families built on them."""
