"""What is the provider's: zones, paths, signatures, pages, error codes. Pure, and the only package that knows them."""
