"""Snapshots: the run under way, the folder, the manifest, reading, verification, comparison."""
