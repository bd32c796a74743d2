"""What the program does, callable from anywhere: no argv, no signals, no standard streams."""
