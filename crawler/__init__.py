"""Inventory crawler for NAVER Cloud Platform Container Registry."""

__version__ = "0.1.0"
