"""A snapshot as columns: Parquet, Arrow, CSV. One schema for every night, and nothing rounded, lost or retyped."""
