"""What a Python caller has: a client, published snapshots, a thread of its own for a job. `crawler` hands it out."""
