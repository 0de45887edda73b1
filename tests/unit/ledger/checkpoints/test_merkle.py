"""The Merkle tree of RFC 6962: its published test vectors, and a naive reading of the definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoints import merkle
from tests.support.each import each

# The leaves and roots that the implementations of Certificate Transparency test each other with.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
PROOFS = {
    (0, 8): ("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
    (5, 8): ("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): ("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
}  # fmt: skip


def naive_root(data: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if not data:
        return sha256().digest()
    if len(data) == 1:
        return sha256(b"\0" + data[0]).digest()
    k = split(len(data))
    return sha256(b"\1" + naive_root(data[:k]) + naive_root(data[k:])).digest()


def naive_path(leaf: int, data: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, word by word."""
    if len(data) == 1:
        return []
    k = split(len(data))
    if leaf < k:
        return [*naive_path(leaf, data[:k]), naive_root(data[k:])]
    return [*naive_path(leaf - k, data[k:]), naive_root(data[:k])]


def split(count: int) -> int:
    """The largest power of two smaller than the count."""
    k = 1
    while 2 * k < count:
        k *= 2
    return k


def leaves(count: int) -> list[bytes]:
    return [sha256(b"%d" % number).digest() for number in range(count)]


def path_of(leaf: int, data: list[bytes]) -> list[bytes]:
    """A proof made the way the ledger makes it: from the roots of whole subtrees."""
    return [
        merkle.fold(
            [
                naive_root(data[node.index << node.height : (node.index + 1) << node.height])
                for node in merkle.nodes_of(start, end)
            ]
        )
        for start, end in merkle.path_ranges(leaf, len(data))
    ]


@each("size", range(9))
def test_published_roots(size: int) -> None:
    assert merkle.root_of(LEAVES[:size]).hex() == ROOTS[size]


@each(("leaf", "size"), PROOFS)
def test_published_proofs(leaf: int, size: int) -> None:
    assert [hash_.hex() for hash_ in path_of(leaf, LEAVES[:size])] == list(PROOFS[leaf, size])


@each("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 1024])
def test_roots_as_the_definition_says(size: int) -> None:
    data = leaves(size)
    assert merkle.root_of(data) == naive_root(data)
    assert merkle.fold([merkle.whole_root([merkle.leaf_hash(d) for d in
                        data[n.index << n.height : (n.index + 1) << n.height]])
                        for n in merkle.nodes_of(0, size)]) == naive_root(data)  # fmt: skip


@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_proof_is_the_definitions_and_leads_to_the_root(case: tuple[int, int]) -> None:
    leaf, size = case
    data = leaves(size)
    path = path_of(leaf, data)
    assert path == naive_path(leaf, data)
    assert merkle.root_of_path(leaf, size, merkle.leaf_hash(data[leaf]), path) == naive_root(data)


@given(st.data())
def test_a_proof_proves_nothing_else(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(2, 70))
    leaf = draw.draw(st.integers(0, size - 1))
    data = leaves(size)
    root, path, hash_ = naive_root(data), naive_path(leaf, data), merkle.leaf_hash(data[leaf])
    other = draw.draw(st.integers(0, size - 1).filter(lambda n: n != leaf))
    spoilt = draw.draw(st.integers(0, len(path) - 1))
    wrong = [bytes(32) if n == spoilt else digest for n, digest in enumerate(path)]
    assert merkle.root_of_path(leaf, size, merkle.leaf_hash(data[other]), path) != root
    assert merkle.root_of_path(other, size, hash_, path) != root
    assert merkle.root_of_path(leaf, size, hash_, wrong) != root
    assert merkle.root_of_path(leaf, size, hash_, path[:-1]) is None
    assert merkle.root_of_path(leaf, size, hash_, [*path, root]) is None
    assert merkle.root_of_path(size, size, hash_, path) is None


@given(st.lists(st.integers(0, 300), max_size=5))
def test_a_tree_that_grows_is_the_tree_made_at_once(steps: list[int]) -> None:
    data = leaves(sum(steps))
    tree, done = merkle.CompactRange(), 0
    for step in steps:
        tree.add_leaves(data[done : done + step])
        done += step
        assert (tree.size, tree.root()) == (done, naive_root(data[:done]))


def test_whole_subtrees_of_any_size_can_be_added() -> None:
    data = leaves(800)
    tree = merkle.CompactRange()
    tree.add(9, naive_root(data[:512]))
    tree.add(8, naive_root(data[512:768]))
    tree.add_leaves(data[768:])
    assert tree.root() == naive_root(data)
    with pytest.raises(ValueError, match="begins at 800"):
        tree.add(8, bytes(32))


def test_ten_million_leaves_keep_some_twenty_hashes() -> None:
    tree = merkle.CompactRange()
    block = merkle.whole_root([merkle.leaf_hash(bytes(32))] * 256)
    for _ in range(10_000_000 // 256):
        tree.add(8, block)
    assert len(tree._nodes) <= 24


@each("count", [0, 3, 255])
def test_only_whole_subtrees_have_a_whole_root(count: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        merkle.whole_root(leaves(count))
