"""Cosignatures of a note: how many of the witnesses are asked for."""

import json
from hashlib import sha256
from pathlib import Path

from ledger.checkpoints.signed_note import WitnessKey
from services.cli.errors import ExitCode
from services.cli.main import app
from tests.support.cli_runner import CliRunner
from tests.unit.ledger.checkpoints.test_signed_note import COSIGNED, COSIGNED_BY, WITNESS

OTHER = "witness.example/w2+43fe9e55+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"


def ended(folder: Path, *options: str, note: str = COSIGNED) -> tuple[int, str]:
    (folder / "note").write_text(note)
    words = ["ledger", "verify-checkpoint", str(folder / "note"), "-k", COSIGNED_BY, "--offline", *options]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout + done.stderr


def test_so_many_witnesses_must_have_cosigned(tmp_path: Path) -> None:
    code, said = ended(tmp_path, "-w", WITNESS, "-w", OTHER, "--quorum", "1")
    assert code == 0 and "cosigned by witness.example/w1 at 2026-11-30T20:41:45" in said
    assert ended(tmp_path, "-w", WITNESS)[0] == 0
    for options in (("-w", WITNESS, "-w", OTHER), ("-w", OTHER), ("-w", OTHER, "--quorum", "1")):
        code, said = ended(tmp_path, *options)
        assert code == ExitCode.INTEGRITY and "witnesses cosigned it" in said
    newer = str(WitnessKey("witness.example/w1", b"new" + bytes(29)))  # of the same witness, who counts once
    assert ended(tmp_path, "-w", WITNESS, "-w", newer)[0] == 0
    twice = ended(tmp_path, "-w", WITNESS, "-w", WITNESS, "--quorum", "2")
    assert twice[0] == ended(tmp_path, "--quorum", "1")[0] == ExitCode.USAGE
    code, said = ended(tmp_path, "-w", WITNESS, note=COSIGNED.replace("AAAABrDd", "AAAABrDe"))
    assert code == ExitCode.INTEGRITY and "does not fit" in said


def test_a_working_paper_says_what_was_checked_and_each_finding(tmp_path: Path) -> None:
    assert ended(tmp_path, "-w", WITNESS, "--report", str(tmp_path / "paper"))[0] == 0
    paper = json.loads((tmp_path / "paper.json").read_text())
    assert (paper["events"], paper["log"], paper["findings"]) == (748, "neurocards.example/ledger", [])
    assert paper["keys"] == [COSIGNED_BY] and paper["offline"] and "cosigned by" in paper["result"]
    assert paper["sha256"] == sha256(COSIGNED.encode()).hexdigest() and paper["checked_by"] != "neurocards "
    code, _ = ended(tmp_path, "--report", str(tmp_path / "paper"), note="<b>no note\n")
    paper, page = json.loads((tmp_path / "paper.json").read_text()), (tmp_path / "paper.html").read_text()
    assert code == ExitCode.INTEGRITY and paper["result"] == "damaged"
    assert paper["findings"][0]["message"] in page and "Findings: 1" in page and "<b>" not in page
