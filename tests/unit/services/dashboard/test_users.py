"""Passwords and codes: the standards' own examples, and one cost for who there is and who there is not."""

from services.dashboard.users import CODE_S, NOBODYS, Invited, _totp, hash_password, step_of, verify_password

SECRET = b"12345678901234567890"


def test_codes_are_those_of_rfc_6238() -> None:
    for at_s, code in ((59, b"287082"), (1_111_111_109, b"081804"), (20_000_000_000, b"353130")):
        assert _totp(SECRET).generate(at_s) == code


def test_a_code_holds_for_its_half_minute_and_those_beside_it() -> None:
    at_s, code = 1_111_111_109, "081804"
    step = at_s // CODE_S
    assert [step_of(SECRET, code, at_s + s) for s in (-60, -59, 0, 30, 31)] == [None, step, step, step, None]
    for wrong in ("", "08180", "0818044", "٠81804", "000000"):
        assert step_of(SECRET, wrong, at_s) is None


def test_a_password_is_hashed_with_a_salt_and_nobodys_costs_as_much() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert (
        first != second and first.rpartition("$")[0].rpartition("$")[0] == NOBODYS[: NOBODYS.index("p=1") + 3]
    )
    assert verify_password("correct horse", first) and not verify_password("correct hors", first)
    assert not verify_password("", NOBODYS)


def test_an_authenticator_is_told_who_and_where() -> None:
    invited = Invited("olga", "owner", "ru", SECRET)
    assert (
        invited.address.startswith("otpauth://totp/neurocards:olga?")
        and "issuer=neurocards" in invited.address
    )
    assert invited.typed.replace(" ", "") in invited.address
