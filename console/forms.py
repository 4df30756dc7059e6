"""Forms as browsers send them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import HTTPException, Request

MOST_BYTES = 100_000
MOST_FIELDS = 100


async def form_of(request: Request) -> dict[str, str]:
    """Field -> text, of a form that is not too large. Raises 400 and 413."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"a form of more than {MOST_BYTES} bytes")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "this is no form") from None
    return {name: text.replace("\r\n", "\n") for name, text in pairs}
