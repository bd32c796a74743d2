"""Prove a snapshot whole, or name what is wrong with it."""
