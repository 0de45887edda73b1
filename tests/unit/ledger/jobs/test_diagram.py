"""The picture of a job's states in the docs is the one that the rules make."""

import re
from pathlib import Path

from tests.support.job_diagram import diagram, edges, loops

DOC = (Path(__file__).parents[4] / "docs" / "jobs.md").read_text(encoding="utf-8")
HINT = "make it anew: python -m tests.support.job_diagram"


def test_the_diagram_in_the_docs_is_what_the_rules_allow():
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", DOC, flags=re.S)
    assert shown == diagram(), HINT
    assert loops() in DOC, HINT


def test_no_way_leads_out_of_an_end_but_those_that_are_named():
    ends = {"succeeded", "failed", "gifted", "requeued"}
    assert {(a, what, b) for a, what, b in edges() if a in ends and a != b} == {
        ("failed", "JobRequeued", "requeued"),
        ("failed", "VideoGifted", "gifted"),
        ("requeued", "VideoGifted", "gifted"),
    }


def test_nothing_is_submitted_while_an_outcome_is_unknown():
    assert not [edge for edge in edges() if edge[0] in ("unknown", "rendering") and "Intended" in edge[1]]
