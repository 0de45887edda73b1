"""Whether another site sent a form, by what browsers say, old ones too."""

from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from services.dashboard.access import is_forged

OURS = "https://pages.example"


def test_a_form_of_another_site_is_refused_whatever_it_says() -> None:
    for forged, headers in (
        (False, [("Sec-Fetch-Site", "same-origin")]),
        (False, [("Sec-Fetch-Site", "none")]),
        (True, [("Sec-Fetch-Site", "same-site")]),
        (True, [("Sec-Fetch-Site", "cross-site"), ("Origin", OURS)]),
        (True, [("Sec-Fetch-Site", "same-origin, cross-site")]),
        (True, [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")]),
        (False, [("Origin", OURS)]),
        (False, [("Origin", "https://inner.example"), ("Host", "inner.example")]),
        (True, [("Origin", "http://pages.example")]),
        (True, [("Origin", "https://pages.example.evil.example")]),
        (True, [("Origin", "null")]),
        (True, [("Origin", OURS), ("Origin", "https://evil.example")]),
        (True, []),
    ):
        request = make_mocked_request("POST", "/", CIMultiDict(headers))
        assert is_forged(request, OURS) is forged, headers
    assert not is_forged(
        make_mocked_request("GET", "/", CIMultiDict([("Sec-Fetch-Site", "cross-site")])), OURS
    )
