"""One file over one connection or several: a transfer that breaks goes on from where it stopped.

Where the server can send a part (Range), the rest is asked for, of the same version of the file. Where it
cannot, the file is read from the start again, and what was passed on already must be the same bytes.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from hashlib import sha256
from typing import Final

import httpx

from events.job import Failure
from services.adapters.kie.errors import ResultBroken
from services.shared.scrubbing import scrub

BREAKS_MAX: Final = 5
_PAUSE_S: Final = 0.5
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class _Changed(Exception):
    """Other bytes than before: what was passed on cannot be continued."""


Open = Callable[[dict[str, str]], Awaitable[httpx.Response]]
"""Sends the request with these headers; the response is a 200, or a 206 when a part was asked for."""


class Transfer:
    """`got` bytes have been passed on so far, of `total` if the server has told."""

    def __init__(self, open_: Open, bytes_max: int) -> None:
        self._open = open_
        self._bytes_max = bytes_max
        self._seen = sha256()
        self._version = ""
        self.got = 0
        self.total: int | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The file's bytes. Raises ResultBroken, or httpx.TransportError when it breaks again and again."""
        breaks = 0
        while True:
            try:
                async with aclosing(self._once()) as rest:
                    async for chunk in rest:
                        self._seen.update(chunk)
                        self.got += len(chunk)
                        yield chunk
            except _Changed:
                raise broken("the file has changed while it was fetched", passing=True) from None
            except (httpx.TransportError, ResultBroken) as error:
                breaks += 1
                passing = not isinstance(error, ResultBroken) or error.passing
                if not (passing and self.got) or breaks > BREAKS_MAX:
                    raise
                await asyncio.sleep(_PAUSE_S * breaks * random.random())
            else:
                return

    async def _once(self) -> AsyncGenerator[bytes, None]:
        headers = {"Accept-Encoding": "identity"}  # a part of something packed is of no use
        if self.got:
            headers["Range"] = f"bytes={self.got}-"
            if self._version:
                headers["If-Range"] = self._version
        response = await self._open(headers)
        try:
            skip = self._start(response)
            chunks = response.aiter_bytes()
            async for chunk in self._after(chunks, skip) if skip else chunks:
                yield chunk
        finally:
            await response.aclose()

    def _start(self, response: httpx.Response) -> int:
        """Note what the response says of the file; how many of its first bytes are known already."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise broken("the file comes packed")
        if response.status_code == 206:
            total = _rest_from(self.got, response.headers.get("content-range", ""))
            skip = 0
        else:
            length = response.headers.get("content-length", "")
            total, skip = int(length) if length.isdigit() else None, self.got
        if self.got and None not in (total, self.total) and total != self.total:
            raise _Changed
        if total is not None and total > self._bytes_max:
            raise broken(f"the file is larger than {self._bytes_max} bytes")
        self.total = total if total is not None else self.total
        etag = response.headers.get("etag", "")
        self._version = (
            etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
        )
        return skip

    async def _after(self, chunks: AsyncIterator[bytes], skip: int) -> AsyncIterator[bytes]:
        known = sha256()
        async for chunk in chunks:
            known.update(chunk[:skip])
            rest, before = chunk[skip:], skip
            skip = max(0, skip - len(chunk))
            if before and not skip and known.digest() != self._seen.digest():
                raise _Changed
            if rest:
                yield rest
        if skip:
            raise _Changed


def broken(words: str, *, passing: bool = False, raw: str = "") -> ResultBroken:
    """The result cannot be had, in our words; `raw` is what came instead."""
    return ResultBroken(Failure("result_broken", "", scrub(words), raw=scrub(raw)), passing=passing)


def _rest_from(start: int, content_range: str) -> int | None:
    """The whole file's size, if the server says so, when the part is the one that was asked for."""
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None or int(found[1]) != start:
        raise broken("the server sends another part than it was asked for", passing=True)
    return None if found[2] == "*" else int(found[2])
