"""A bounded cache whose items also age out."""

from ttlcache.cache import TTLCache

__all__ = ["TTLCache"]
