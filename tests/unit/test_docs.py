"""What the documents list is what there is."""

import re
from pathlib import Path
from typing import get_args

from events.codec import EVENT_TYPES
from services.adapters.openai.errors import Reason
from tests.support.each import each
from tests.support.services import ROOT

LAYERS = ("ledger", "projections", "services")
DOCS = sorted([*Path(ROOT, "docs").glob("*.md"), Path(ROOT, "README.md")])


def test_every_event_is_listed_and_nothing_else():
    text = Path(ROOT, "docs/ledger.md").read_text()
    listed = re.findall(r"^\| (?:account|job|payment|promo|system) \| `(\w+)` \|", text, flags=re.M)
    assert sorted(listed) == sorted(EVENT_TYPES)


@each("path", DOCS)
def test_links_between_documents_lead_somewhere(path: Path):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_reason_of_openai_is_listed_and_nothing_else():
    text = Path(ROOT, "docs/generation.md").read_text()
    table = text.partition("| what happens |")[2].partition("\n\n")[0]
    listed = {
        reason for row in table.splitlines()[2:] for reason in re.findall(r"`(\w+)`", row.split("|")[2])
    }
    assert listed == set(get_args(Reason))


def test_every_name_that_the_logs_document_explains_is_logged():
    table = (
        Path(ROOT, "docs/observability.md")
        .read_text()
        .partition("### Names worth knowing")[2]
        .partition("\n### ")[0]
    )
    names = {name for row in table.splitlines() for name in re.findall(r"`([a-z]+_[a-z_]+)`", row)}
    code = "".join(path.read_text() for layer in LAYERS for path in Path(ROOT, layer).rglob("*.py"))
    fields = {"again_in_s", "age_s"}
    assert len(names) > 30
    assert {name for name in names - fields if f'"{name}"' not in code} == set()


def test_what_newcomers_ask_for_is_where_they_are_sent():
    table = Path(ROOT, "CONTRIBUTING.md").read_text().partition("| question | file |")[2]
    files = re.findall(r"^\| .+ \| `([\w/.]+)` \|$", table, flags=re.M)
    assert len(files) == 25
    assert [file for file in files if not Path(ROOT, file).is_file()] == []


def test_the_index_of_decisions_has_every_page():
    folder = Path(ROOT, "docs/decisions")
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text()))
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= listed
