"""Inventory crawler for NAVER Cloud Platform Container Registry."""

from crawler.core.version import __version__

__all__ = ["__version__"]
