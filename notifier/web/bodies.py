"""Read what a request holds, byte for byte, and no more than is meant."""

from fastapi import Request


async def read_body(request: Request, limit: int) -> bytes | None:
    """Return the body, None where it has more than ``limit`` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > limit:
            return None
    return b"".join(parts)
