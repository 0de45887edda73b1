"""Merkle tree of RFC 6962 (and 9162) over the log. Pure.

Leaf number i is the hash of position i + 1. A tree of n leaves is cut into whole subtrees, one per bit of n,
the largest first: *nodes* `(height, index)` over the leaves `index * 2**height` and the `2**height - 1` after
it. With the hashes of nodes, from rows or from a cache, any root and any proof can be computed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


class Node(msgspec.Struct, frozen=True, gc=False):
    """Whole subtree of `2**height` leaves, `index`-th from the left."""

    height: int
    index: int


def leaf_hash(data: bytes) -> bytes:
    """Leaf hash; here `data` is an event's chain hash."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def whole_root(hashes: Sequence[bytes]) -> bytes:
    """Root over 1, 2, 4, 8, … subtree hashes of one height."""
    level = list(hashes)
    if not level or len(level) & (len(level) - 1):
        raise ValueError(f"{len(level)} is not a power of two")
    while len(level) > 1:
        pairs = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def split_hashes(joined: bytes) -> list[bytes]:
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def nodes_of(start: int, end: int) -> list[Node]:
    """Fewest whole subtrees over the leaves `start` … `end` - 1."""
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        while start & ((1 << height) - 1):
            height -= 1
        found.append(Node(height, start >> height))
        start += 1 << height
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over the hashes of `nodes_of`; of nothing: EMPTY_ROOT."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def path_ranges(leaf: int, size: int) -> list[tuple[int, int]]:
    """Inclusion proof of a leaf: leaves under each hash, nearest first."""
    if not 0 <= leaf < size:
        raise ValueError(f"leaf {leaf} is not in a tree of {size}")
    return _beside(leaf, size, lambda start, end: end - start == 1)[1]


def _beside(leaf: int, size: int, there: Callable[[int, int], bool]) -> tuple[int, list[tuple[int, int]]]:
    """Where the subtree over a leaf begins that is `there`; what is beside the way to it, nearest first."""
    found: list[tuple[int, int]] = []
    start, end = 0, size
    while not there(start, end):
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if leaf < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return start, found[::-1]


def root_of_path(leaf: int, size: int, hash_: bytes, path: Sequence[bytes]) -> bytes | None:
    """Root that a proof leads to; None when its length is wrong. `hash_` is the leaf's hash."""
    ranges = path_ranges(leaf, size) if 0 <= leaf < size else None
    if ranges is None or len(ranges) != len(path):
        return None
    for (start, _), other in zip(ranges, path, strict=True):
        hash_ = node_hash(other, hash_) if start < leaf else node_hash(hash_, other)
    return hash_


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Consistency proof of two sizes (RFC 6962): leaves under each hash, in the proof's order."""
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} does not grow into one of {new}")
    start, found = _beside(old - 1, new, lambda _, end: end == old)
    return [(start, old), *found] if start else found


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the new tree to begin with the old."""
    ranges = consistency_ranges(old, new)
    if len(ranges) != len(proof):
        return False
    known = list(zip(ranges, proof, strict=True))
    start, was = 0, old_root
    if known and known[0][0][1] == old:  # else the old tree is a whole subtree of the new one
        (start, _), was = known.pop(0)
    now = was
    for (left, _), other in known:
        if left < start:
            was, now, start = node_hash(other, was), node_hash(other, now), left
        else:
            now = node_hash(now, other)
    return (was, now) == (old_root, new_root)


class CompactRange:
    """Nodes of a growing tree: some twenty hashes for millions of leaves."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[tuple[int, bytes]] = []

    def add(self, height: int, hash_: bytes) -> None:
        """Add a subtree of `2**height` leaves; the size must be a multiple."""
        if self.size & ((1 << height) - 1):
            raise ValueError(f"no subtree of {1 << height} leaves begins at {self.size}")
        self.size += 1 << height
        while self._nodes and self._nodes[-1][0] == height:
            hash_ = node_hash(self._nodes.pop()[1], hash_)
            height += 1
        self._nodes.append((height, hash_))

    def add_leaves(self, data: Iterable[bytes]) -> None:
        waiting = iter(data)
        for block in _blocks(waiting, self.size):
            self.add(len(block).bit_length() - 1, whole_root(block))

    def extend(self, end: int, hashes: Sequence[bytes]) -> None:
        """Add the `nodes_of` up to `end`. Raises ValueError when they are not as many."""
        for node, hash_ in zip(nodes_of(self.size, end), hashes, strict=True):
            self.add(node.height, hash_)

    def root(self) -> bytes:
        return fold([hash_ for _, hash_ in self._nodes])


def root_of(data: Iterable[bytes]) -> bytes:
    tree = CompactRange()
    tree.add_leaves(data)
    return tree.root()


_BLOCK = 256


def _blocks(data: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """Leaf hashes in aligned runs: of 256 where possible, else single."""
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
