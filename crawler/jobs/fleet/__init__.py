"""Many accounts: a task takes the snapshot of one, a merge makes one of all, and an engine runs them anywhere."""
