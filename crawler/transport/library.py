"""Import aiohttp without the certificates that it reads meanwhile for TLS contexts of its own: a third of the time.

Nothing here uses those contexts: `wires.connector` makes one, where there is TLS, when it is needed. Where somebody
else imported aiohttp before, nothing changes.
"""

from __future__ import annotations

import os

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

_asked = {name: os.environ[name] for name in _PLACES if name in os.environ}
os.environ.update(dict.fromkeys(_PLACES, os.devnull))
try:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.http_exceptions import HttpProcessingError
finally:
    for _name in _PLACES:
        del os.environ[_name]
    os.environ.update(_asked)

__all__ = ["AbstractResolver", "HttpProcessingError", "ResolveResult", "aiohttp"]
