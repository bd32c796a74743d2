"""Import aiohttp as it is needed here: its parser strict, and without certificates that nobody uses.

While it is imported it looks at its environment. In debug mode its parser takes no bare line feed for a line's end, and
no control character for a header's; that is wanted of a gateway's answers always (`protocol` mends what is harmless).
And it reads the system's certificates for TLS contexts of its own, a third of its time: `clients.connector` makes the
context that is used, where there is TLS. Where somebody else imported aiohttp before, nothing changes.
"""

from __future__ import annotations

import os

_MEANWHILE = {"PYTHONASYNCIODEBUG": "1", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}

_before = {name: os.environ[name] for name in _MEANWHILE if name in os.environ}
os.environ.update(_MEANWHILE)
try:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.http_exceptions import HttpProcessingError
finally:
    for _name in _MEANWHILE:
        del os.environ[_name]
    os.environ.update(_before)

__all__ = ["AbstractResolver", "HttpProcessingError", "ResolveResult", "ResponseHandler", "aiohttp"]
