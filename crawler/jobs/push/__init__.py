"""Copy snapshots into an object storage, or any other store, so that they appear whole there, or not at all."""
