"""Working paper of a check: what was checked, by what, and each finding; as JSON and as a page to print."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 11pt serif; margin: 2cm }} td, th {{ text-align: left; vertical-align: top; padding: 2pt;
overflow-wrap: anywhere }}</style>
<h1>{title}</h1><table>{facts}</table><h2>Findings: {count}</h2><table>{findings}</table>
"""


def write_report(path: Path, title: str, facts: Mapping[str, Any], findings: Iterable[Any]) -> None:
    """Write PATH.json and PATH.html; findings have kind, position and message. Raises OSError."""
    found = [{"kind": one.kind, "position": one.position, "message": one.message} for one in findings]
    paper = {**facts, "findings": found}
    path.with_suffix(".json").write_text(json.dumps(paper, ensure_ascii=False, indent=2) + "\n", "utf-8")
    said = {name: ", ".join(what) if isinstance(what, list) else what for name, what in facts.items()}
    page = _PAGE.format(
        title=escape(title),
        facts=_rows(said.items()),
        count=len(found),
        findings=_rows(map(dict.values, found)),
    )
    path.with_suffix(".html").write_text(page, "utf-8")


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    def cell(what: Any) -> str:
        return f"<td>{escape('–' if what is None else str(what))}"

    return "\n".join("<tr>" + "".join(map(cell, row)) for row in rows)
