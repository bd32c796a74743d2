"""The snapshot job: what tonight's run is, its sessions, what is published of it, and what comes after that."""
