"""Files stored under S3 Object Lock.

Nobody can lift it before its time, the bucket's owner included. The client of the blob store cannot set the
lock's headers, which are signed: this does it.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import httpx

from services.platform.settings_types import s3_place
from services.platform.tls import tls_context

TIMEOUT_S: Final = 20.0
DAYS: Final = 3650


async def put_locked(url: str, key: str, name: str, data: bytes) -> str:
    """Store `data` below s3://bucket/prefix?endpoint=…&region=…&days=…; why it was not taken, or nothing.

    `key`: `ID:SECRET`. One that is there already under this name is not written again. Raises OSError.
    """
    bucket, prefix, known = s3_place(url)
    region = known.get("region", "us-east-1")
    base = known.get("endpoint", f"https://s3.{region}.amazonaws.com")
    address = f"{base}/{quote('/'.join(part for part in (bucket, prefix, name) if part))}"
    until = datetime.now(UTC) + timedelta(days=int(known.get("days", DAYS)))
    headers = {
        "if-none-match": "*",
        "x-amz-sdk-checksum-algorithm": "SHA256",
        "x-amz-checksum-sha256": b64encode(hashlib.sha256(data).digest()).decode(),
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    try:
        async with httpx.AsyncClient(verify=tls_context(), timeout=TIMEOUT_S) as client:
            answer = await client.put(
                address, content=data, headers=signed("PUT", address, headers, data, key, region)
            )
    except httpx.HTTPError as error:
        raise ConnectionError(type(error).__name__) from None
    if answer.status_code in (200, 412):
        return ""
    code = re.search(r"<Code>(\w{1,60})</Code>", answer.text)
    return f"S3: {answer.status_code} {code[1] if code else ''}".strip()


def signed(
    method: str, url: str, headers: Mapping[str, str], data: bytes, key: str, region: str
) -> dict[str, str]:
    """The headers with those of AWS's Signature Version 4; their names are lower-case, the URL is quoted."""
    login, _, secret = key.partition(":")
    now, parts = datetime.now(UTC), urlsplit(url)
    digest = hashlib.sha256(data).hexdigest()
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    given = {**headers, "host": parts.netloc, "x-amz-date": stamp, "x-amz-content-sha256": digest}
    names = ";".join(sorted(given))
    lines = "".join(f"{name}:{given[name]}\n" for name in sorted(given))
    request = f"{method}\n{parts.path}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    step = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        step = hmac.digest(step, part.encode(), "sha256")
    signature = hmac.digest(step, text.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={login}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {name: value for name, value in given.items() if name != "host"} | {"authorization": proof}
