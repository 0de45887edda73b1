"""Mutations of true files: a piece of them is cut out, doubled or replaced."""

from hypothesis import strategies as st


def mutated(data: st.DataObject, true: bytes, begin: int = 0) -> bytes:
    """`true` with a piece after `begin` replaced; sometimes by itself."""
    at, to = sorted(data.draw(st.tuples(*[st.integers(begin, len(true))] * 2)))
    known = [true[at:to] * 2, b"0", b" ", b"null", b"\n", true[begin:at]]
    return true[:at] + data.draw(st.one_of(st.binary(max_size=3), st.sampled_from(known))) + true[to:]
