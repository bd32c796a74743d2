"""What became of one registry, image or tag: all snapshots of a folder, one after the other."""
