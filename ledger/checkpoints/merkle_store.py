"""Merkle tree in Postgres: roots and proofs in constant memory.

Whole subtrees of 2^8, 2^16, … events are kept in `tree_tiles`, so that a proof reads some hundred rows and a
new checkpoint only what is new. A cache and nothing more: `tiles=False` reads every event's hash.
"""

from collections.abc import Collection
from typing import Final

from ledger.checkpoints.merkle import (
    CompactRange,
    Node,
    consistency_ranges,
    fold,
    leaf_hash,
    nodes_of,
    path_ranges,
    split_hashes,
    whole_root,
)
from ledger.errors import IntegrityError
from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("ledger.checkpoints")

TILE_HEIGHT: Final = 8
_TILE: Final = 1 << TILE_HEIGHT
_PAGE_HEIGHT: Final = 2 * TILE_HEIGHT
"""2^16 hashes are read at once: 2 MiB."""


class Tree:
    def __init__(self, reader: Reader, *, tiles: bool = True) -> None:
        self._reader = reader
        self._tiles = tiles

    async def root(self, size: int) -> bytes:
        """Root over positions 1 … size. Raises IntegrityError when one is missing."""
        return await self._over(0, size)

    async def path(self, position: int, size: int) -> list[bytes]:
        """Inclusion proof of a position; see `merkle.root_of_path`."""
        return [await self._over(start, end) for start, end in path_ranges(position - 1, size)]

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Consistency proof of two sizes; see `merkle.is_consistent`."""
        return [await self._over(start, end) for start, end in consistency_ranges(old, new)]

    async def nodes(self, start: int, end: int) -> list[bytes]:
        """Hashes of `merkle.nodes_of` after position `start` up to `end`."""
        return [await self._node(node) for node in nodes_of(start, end)]

    async def roots(self, sizes: Collection[int]) -> dict[int, bytes]:
        """Roots at these sizes from rows alone, reading them once; none beyond the log, or behind a hole."""
        tree, found = CompactRange(), dict[int, bytes]()
        for size in sorted(sizes):
            while tree.size < size:
                start, end = tree.size, min(size, tree.size + (1 << _PAGE_HEIGHT))
                row = await self._reader.fetchrow(query("leaves"), start, end)
                if row is None or row["found"] != end - start:
                    return found
                tree.add_leaves(split_hashes(row["joined"]))
            found[size] = tree.root()
        return found

    async def extend(self, size: int) -> None:
        have = await self._kept(1)
        while have < size >> TILE_HEIGHT:
            upto = min(size >> TILE_HEIGHT, (have // _TILE + 1) * _TILE)
            leaves = await self._leaves(have << TILE_HEIGHT, upto << TILE_HEIGHT)
            made = [whole_root(leaves[at : at + _TILE]) for at in range(0, len(leaves), _TILE)]
            await self._reader.execute(query("add_tiles"), 1, have, b"".join(made))
            have = upto
        level = 2
        while size >> (TILE_HEIGHT * level):
            for index in range(await self._kept(level), size >> (TILE_HEIGHT * level)):
                root = await self._node(Node(TILE_HEIGHT * level, index))
                await self._reader.execute(query("add_tiles"), level, index, root)
            level += 1

    async def _over(self, start: int, end: int) -> bytes:
        return fold(await self.nodes(start, end))

    async def _node(self, node: Node) -> bytes:
        for level in range(node.height // TILE_HEIGHT if self._tiles else 0, 0, -1):
            shift = node.height - level * TILE_HEIGHT
            if shift > _PAGE_HEIGHT:
                break
            first = node.index << shift
            found = await self._reader.fetchrow(query("tiles"), level, first, first + (1 << shift))
            if found is not None and found["found"] == 1 << shift:
                return whole_root(split_hashes(found["joined"]))
        if node.height <= _PAGE_HEIGHT:
            start = node.index << node.height
            return whole_root(await self._leaves(start, start + (1 << node.height)))
        shift = node.height - _PAGE_HEIGHT
        below = CompactRange()
        for index in range(node.index << shift, (node.index + 1) << shift):
            below.add(_PAGE_HEIGHT, await self._node(Node(_PAGE_HEIGHT, index)))
        return below.root()

    async def _leaves(self, start: int, end: int) -> list[bytes]:
        found = await self._reader.fetchrow(query("leaves"), start, end)
        if found is None or found["found"] != end - start:
            raise IntegrityError(f"the log does not hold every position from {start + 1} to {end}")
        return [leaf_hash(hash_) for hash_ in split_hashes(found["joined"])]

    async def _kept(self, level: int) -> int:
        sql = "SELECT coalesce(max(index) + 1, 0) FROM tree_tiles WHERE level = $1"
        return int(await self._reader.fetchval(sql, level))


async def forget_tiles(reader: Reader, size: int = 0) -> None:
    """Drop tiles beyond a tree of this size; all by default."""
    await reader.execute(query("forget_tiles"), size)
