"""Tell what changed between two snapshots, and what nobody can know."""
