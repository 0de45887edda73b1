"""Other people's scripts are what was looked at: version, licence and hash stand beside them."""

import hashlib
import re
from pathlib import Path

import services.dashboard

FOLDER = Path(services.dashboard.__file__).parent / "static" / "vendor"


def test_vendored_files_are_those_of_the_table() -> None:
    text = (FOLDER / "README.md").read_text()
    table = dict(re.findall(r"^\| (\S+) \|.*\| (\w{64}) \|$", text, re.MULTILINE))
    files = [path for path in FOLDER.iterdir() if path.suffix != ".md"]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == table
