"""The folder that holds snapshots: what it can do, its lock, `latest`, retention, remains."""
