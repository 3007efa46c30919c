"""A local proxy for programs that know nothing of sessions: HTTP in absolute form, CONNECT and SOCKS 5.

What reaches the CDN by it goes over two paths, or not at all.
"""

from smkex.client.proxy.server import Proxy, ProxySettings

__all__ = ["Proxy", "ProxySettings"]
