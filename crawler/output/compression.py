"""What a file's name says of how it is compressed."""

from __future__ import annotations

import zlib
from typing import Protocol

import zstandard


class Compressor(Protocol):
    """What zlib's and zstandard's compression objects have in common."""

    def compress(self, data: bytes) -> bytes:
        """Return what is ready of the compressed stream."""
        ...

    def flush(self) -> bytes:
        """Return the rest and end the stream."""
        ...


class Plain:
    """Compresses nothing."""

    def compress(self, data: bytes) -> bytes:
        """Return what came."""
        return data

    def flush(self) -> bytes:
        """Return nothing."""
        return b""


def compressor(name: str) -> Compressor:
    """Return the compressor that goes with a file's name: ``.gz``, ``.zst``, else none."""
    if name.endswith(".gz"):
        return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    return Plain()
