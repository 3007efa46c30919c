"""A local proxy for programs without session support: HTTP in absolute form, CONNECT and SOCKS 5.

It reaches the CDN over two paths, or not at all.
"""

from smkex.client.proxy.server import Proxy, ProxySettings

__all__ = ["Proxy", "ProxySettings"]
