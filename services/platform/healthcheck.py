"""Container health check, exit code 0 when ready. Standard library only: quick."""

import os
import sys
import urllib.error
import urllib.request

_TIMEOUT_S = 4


def main() -> int:
    port = os.environ.get("HEALTH_PORT", "")
    if not port.isdigit() or port == "0":
        sys.stderr.write("HEALTH_PORT: must be set to the port of the process's health server\n")
        return 2
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=_TIMEOUT_S) as answer:
            sys.stdout.write(answer.read().decode() + "\n")
    except urllib.error.HTTPError as error:
        sys.stdout.write(error.read().decode(errors="replace") + "\n")
        return 1
    except OSError as error:
        sys.stdout.write(f"no answer on port {port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
