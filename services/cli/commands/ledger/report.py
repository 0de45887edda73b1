"""Working paper of a check: what was checked, by what, and each finding; as JSON and as a page to print."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from projections.verify.findings import Problem

_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 11pt serif; margin: 2cm }} td, th {{ text-align: left; vertical-align: top; padding: 2pt;
overflow-wrap: anywhere }}</style>
<h1>{title}</h1><table>{facts}</table><h2>Findings: {count}</h2><table>{findings}</table>
"""


def write_report(path: Path, title: str, facts: Mapping[str, Any], findings: Iterable[Problem]) -> None:
    """Write PATH.json and PATH.html; findings have kind, position and message. Raises OSError."""
    found = [{"kind": one.kind, "position": one.position, "message": one.message} for one in findings]
    said = {name: ", ".join(what) if isinstance(what, list) else what for name, what in facts.items()}
    rows = (_rows(said.items()), _rows(map(dict.values, found)))
    page = _PAGE.format(title=escape(title), facts=rows[0], count=len(found), findings=rows[1])
    paper = json.dumps({**facts, "findings": found}, ensure_ascii=False, indent=2) + "\n"
    name = path.name.removesuffix(".json").removesuffix(".html")
    for suffix, text in ((".json", paper), (".html", page)):
        path.with_name(name + suffix).write_text(text, "utf-8")


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    cells = ([f"<td>{escape('–' if what is None else str(what))}</td>" for what in row] for row in rows)
    return "\n".join(f"<tr>{''.join(row)}</tr>" for row in cells)
