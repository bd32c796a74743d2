"""Snapshots on disk: what they say of themselves, how they are read back, proved and compared."""
