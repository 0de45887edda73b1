"""What is said of rows that cannot stand where they do."""

from projections.problems import Findings
from projections.verify.shapes import KNOWN, Row


def wrong_version(findings: Findings, at: int, stream: str, version: int, expected: int) -> None:
    """The stream's versions are not 1, 2, 3, …"""
    findings.add("stream", at, f"{stream} has version {version} where {expected} should be")


def misplaced(findings: Findings, row: Row) -> None:
    """The row's type is none of its stream's kind."""
    at, stream, _, name, *_ = row
    if name in KNOWN:
        findings.add("stream", at, f"{name} at position {at} cannot stand in {stream}")
    else:
        findings.add("unreadable", at, f"unknown event type {name!r} at position {at}")


def broken_command(findings: Findings, at: int, left: int) -> None:
    """A command begins too early, or goes on after its end."""
    if left:
        message = f"a command begins at position {at} where {left} events of the one before should stand"
    else:
        message = f"position {at} belongs to no command: the one before it is complete"
    findings.add("command", at, message)
