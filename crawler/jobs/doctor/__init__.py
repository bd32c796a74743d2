"""What is wrong with keys, clock, network, permissions and folder, found the way a run would meet it."""
