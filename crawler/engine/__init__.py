"""The crawl: scheduler, listings and their passes, completeness check, retry policy; one task group."""
