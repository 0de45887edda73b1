"""`neurocards` and `python -m services.cli`: runs commands, never ends in a traceback."""

import os
import sys


def main() -> None:
    """Run a command; an unforeseen error is written to a file, and the file named."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us; else the next file would get its number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for good
    try:
        from services.cli.errors import ExitCode, record_defect
        from services.cli.main import app
        from services.cli.output import say

        try:
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
            if sys.argv[1:2] == ["serve"]:
                _serve_forked()
            "".join(sys.argv).encode()
            app(prog_name="neurocards")
        except UnicodeEncodeError:
            say("an argument is no text: its bytes are not UTF-8")
            sys.exit(ExitCode.USAGE)
        except Exception as error:
            say(record_defect(error))
            sys.exit(ExitCode.FAILURE)
    except KeyboardInterrupt:
        sys.exit(130)


def _serve_forked() -> None:
    """Be a service as `up` starts it, and exit; return for other words."""
    from services.cli.commands.serve import serve_forked
    from services.cli.errors import told

    try:
        code = serve_forked(sys.argv[1:])
    except Exception as error:
        code = told(error)
    if code is not None:
        sys.exit(code)


if __name__ == "__main__":
    main()
