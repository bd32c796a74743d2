"""A run under way, which survives its process: journal, parts, spool; and its publication."""
