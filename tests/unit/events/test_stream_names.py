"""Names of streams: each kind's own, and back."""

from events import stream_names as names


def test_a_stream_says_whose_it_is() -> None:
    assert names.account_stream("a-1") == "account-a-1" and names.job_stream("j") == "job-j"
    assert names.payment_stream("p") == "payment-p" and names.promo_stream("C") == "promo-C"
    of = (names.account_of, names.job_of, names.payment_of)
    assert [one("account-a-1") for one in of] == ["a-1", None, None]
    assert [one("job-j") for one in of] == [None, "j", None]
    assert [one("payment-p") for one in of] == [None, None, "p"]
    assert [one("promo-C") for one in of] == [None, None, None]
