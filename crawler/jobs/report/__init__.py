"""One HTML file to look at: from manifests and records to facts, from facts to a page that needs nothing else."""
