"""The Merkle tree of RFC 6962 (and 9162) over the log: leaf number i is the hash of position i + 1. Pure.

A tree of n leaves is cut into whole subtrees, one per bit of n, the largest first. Everything here is said in
such *nodes* `(height, index)`: the whole subtree over the leaves `index * 2**height` and the `2**height - 1`
after it. So whoever can give the hash of a node, from rows or from a cache, can give any root and any proof.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


class Node(msgspec.Struct, frozen=True, gc=False):
    """A whole subtree of `2**height` leaves, the `index`-th of its height from the left."""

    height: int
    index: int


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf; here `data` is an event's chain hash."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def whole_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 1, 2, 4, 8, … hashes of whole subtrees of one height."""
    level = list(hashes)
    if not level or len(level) & (len(level) - 1):
        raise ValueError(f"{len(level)} is not a power of two")
    while len(level) > 1:
        pairs = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def split_hashes(joined: bytes) -> list[bytes]:
    """Hashes that come as one run of 32-byte pieces."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def nodes_of(start: int, end: int) -> list[Node]:
    """The fewest whole subtrees that cover the leaves from `start` up to (not with) `end`, left to right.

    `start` must be where a subtree at least as large as the rest can begin, as in every root and proof.
    """
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start & ((1 << height) - 1):
            raise ValueError(f"no subtree of {1 << height} leaves begins at {start}")
        found.append(Node(height, start >> height))
        start += 1 << height
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over what `nodes_of` lists, from the hashes in its order; of nothing: EMPTY_ROOT."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def path_ranges(leaf: int, size: int) -> list[tuple[int, int]]:
    """The inclusion proof of one leaf: for each of its hashes the leaves it covers, nearest first."""
    if not 0 <= leaf < size:
        raise ValueError(f"leaf {leaf} is not in a tree of {size}")
    found: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if leaf < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def root_of_path(leaf: int, size: int, hash_: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to; None when it has the wrong length. `hash_` is the leaf's hash."""
    ranges = path_ranges(leaf, size) if 0 <= leaf < size else None
    if ranges is None or len(ranges) != len(path):
        return None
    for (start, _), other in zip(ranges, path, strict=True):
        hash_ = node_hash(other, hash_) if start < leaf else node_hash(hash_, other)
    return hash_


class CompactRange:
    """The nodes of a tree that grows at its right end: some twenty hashes for millions of leaves."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[tuple[int, bytes]] = []

    def add(self, height: int, hash_: bytes) -> None:
        """The next whole subtree of `2**height` leaves; the size must be a multiple of that."""
        if self.size & ((1 << height) - 1):
            raise ValueError(f"no subtree of {1 << height} leaves begins at {self.size}")
        self.size += 1 << height
        while self._nodes and self._nodes[-1][0] == height:
            hash_ = node_hash(self._nodes.pop()[1], hash_)
            height += 1
        self._nodes.append((height, hash_))

    def add_leaves(self, data: Iterable[bytes]) -> None:
        """The next leaves, from their data."""
        waiting = iter(data)
        for block in _blocks(waiting, self.size):
            self.add(len(block).bit_length() - 1, whole_root(block))

    def root(self) -> bytes:
        """The root over all that was added."""
        return fold([hash_ for _, hash_ in self._nodes])


def root_of(data: Iterable[bytes]) -> bytes:
    """The root of a whole tree, from the leaves' data."""
    tree = CompactRange()
    tree.add_leaves(data)
    return tree.root()


_BLOCK = 256


def _blocks(data: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """Leaf hashes in runs that are whole subtrees where they begin: of 256 where possible, else single."""
    block: list[bytes] = []
    for piece in data:
        digest = sha256(b"\x00" + piece).digest()
        if not block and size % _BLOCK:
            size += 1
            yield [digest]
            continue
        block.append(digest)
        if len(block) == _BLOCK:
            yield block
            block = []
    for digest in block:
        yield [digest]
