"""Stores: places that keep files by name, a local folder or a bucket of an object storage, behind one interface."""
