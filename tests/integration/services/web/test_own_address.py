"""The doctor follows a link of ours to PUBLIC_URL: only a web with our secret and our files passes."""

from pathlib import Path

import pytest

from services.cli.doctor.trials import check_files
from services.platform.settings import Settings
from tests.integration.services.web.conftest import Browser


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "a file of ours"),
        ({"callback_secret": "of some other system"}, "fail", "answers 404"),
        ({"data_dir": "elsewhere"}, "fail", "answers 404"),
        ({"public_url": "http://127.0.0.1:1"}, "warn", "does not answer"),
        ({"public_url": "https://no-such-name.invalid"}, "warn", "does not answer"),
    ],
)
async def test_our_own_address(
    browser: Browser, settings: Settings, tmp_path: Path, changes: dict[str, str], state: str, words: str
) -> None:
    changes = changes | ({"data_dir": str(tmp_path / changes["data_dir"])} if "data_dir" in changes else {})
    asked = settings.replace(**{"public_url": browser.base} | changes)
    (asked.data_dir / "blobs").mkdir(parents=True, exist_ok=True)
    files, link = await check_files(asked)
    assert files.state == "ok"
    assert (link.name, link.state) == ("PUBLIC_URL", state) and words in link.found
