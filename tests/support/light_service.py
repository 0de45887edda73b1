"""A process that the supervisor takes for a service; it imports nothing of ours, so it starts at once.

It behaves as its argument says.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    mode = sys.argv[1]
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    if mode == "cannot-start":
        sys.exit("the thing is missing: install it")
    if mode == "hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready = Path(os.environ["READY_FILE"])
    ready.with_suffix(".new").write_text(json.dumps({"pid": os.getpid(), "ready": True}))
    ready.with_suffix(".new").rename(ready)
    time.sleep(3600)


def _end_with_supervisor() -> None:
    os.read(int(os.environ["NEUROCARDS_LIFELINE_FD"]), 1)
    os._exit(1)


if __name__ == "__main__":
    main()
