"""Where bytes go and come from: sinks, files that last, compression, streams that may make one wait."""
