"""Parquet: pyarrow's streaming CSV reader over what COPY sends. Needs the extra `parquet`."""

import asyncio
import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from projections.engine.errors import ExportError, ParquetMissingError
from projections.export.copy import WholeFile
from projections.export.manifest import COLUMNS

if TYPE_CHECKING:
    from ledger.postgres import Connection
    from projections.export.writer import Progress, Range

_BLOCK_BYTES = 128 << 10
"""Of CSV at once; pyarrow reads several ahead."""

_GROUP_ROWS = 8_000
"""In a row group, at least."""

_PAGE_BYTES = 64 << 10
"""Of one column."""

_PIECE_BYTES = 256 << 10
"""Go through the pipe at once."""

_NUMBERS = ("position", "version", "command_events", "recorded_at_us")


def pyarrow() -> Any:
    """The library. Raises ParquetMissingError with what to install."""
    try:
        import pyarrow as arrow  # type: ignore[import-untyped]
        import pyarrow.csv  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise ParquetMissingError(
            "Parquet needs pyarrow: pip install 'neurocards[parquet]', or export jsonl or csv"
        ) from None
    arrow.set_memory_pool(arrow.system_memory_pool())  # its own keeps what was freed: tens of megabytes
    return arrow


def schema() -> Any:
    """The file's columns; hashes stay hexadecimal, `data` stays text."""
    arrow = pyarrow()
    return arrow.schema(
        [arrow.field(name, arrow.int64() if name in _NUMBERS else arrow.string()) for name in COLUMNS]
    )


async def write_parquet(
    connection: "Connection", what: "Range", file: WholeFile, progress: "Progress"
) -> int:
    """Write the rows as Parquet; how many there were."""
    from projections.export.writer import copy

    pyarrow()
    receiver, sender = os.pipe()
    loop = asyncio.get_running_loop()
    convert = loop.run_in_executor(None, _receive, receiver, file)
    waiting = bytearray()

    async def send() -> None:
        data = bytes(waiting)
        waiting.clear()
        await loop.run_in_executor(None, _write_all, sender, data)

    def gather(data: bytes) -> Awaitable[None] | None:
        waiting.extend(data)
        return send() if len(waiting) >= _PIECE_BYTES else None

    try:
        count = await copy(connection, what, "csv", gather, progress)
        await send()
    except BrokenPipeError:
        await convert  # says why it stopped reading
        raise
    finally:
        os.close(sender)
        await asyncio.wait([convert])
    await convert
    return count


def _write_all(sender: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(sender, left) :]


def _receive(receiver: int, file: WholeFile) -> None:
    try:
        _convert(receiver, file)
    except pyarrow().ArrowException as error:
        raise ExportError(f"pyarrow cannot take the rows: {error}; export csv or jsonl") from None


def _convert(receiver: int, file: WholeFile) -> None:
    """Until the pipe ends: CSV in, Parquet out, in small blocks: memory stays flat."""
    arrow = pyarrow()
    columns = schema()
    convert = arrow.csv.ConvertOptions(
        column_types={field.name: field.type for field in columns},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with (
        os.fdopen(receiver, "rb", buffering=0) as source,
        arrow.parquet.ParquetWriter(
            arrow.PythonFile(file, mode="w"), columns, compression="zstd", use_dictionary=["type"],
            write_statistics=["position"], data_page_size=_PAGE_BYTES,
        ) as writer,
    ):  # fmt: skip
        reader = arrow.csv.open_csv(
            source,
            arrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
            convert_options=convert,
        )
        waiting: list[Any] = []
        for batch in reader:
            waiting.append(batch)
            if sum(one.num_rows for one in waiting) >= _GROUP_ROWS:
                writer.write_table(arrow.Table.from_batches(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(arrow.Table.from_batches(waiting))
