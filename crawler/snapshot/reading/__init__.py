"""Read what a snapshot holds: chunks of files, packed or not, their lines and records."""
