"""Keys of the LiteLLM check: sk-good without limit, sk-slow with three requests a minute, no other."""

from fastapi import Request
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

KEYS = {"sk-good": {}, "sk-slow": {"rpm_limit": 3}}


async def check(request: Request, api_key: str) -> UserAPIKeyAuth:
    key = (api_key or "").removeprefix("Bearer ").strip()
    if key not in KEYS:
        raise ProxyException(message="incorrect key", type="invalid_request_error", param="api_key", code=401)
    return UserAPIKeyAuth(api_key=key, **KEYS[key])
