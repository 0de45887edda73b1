"""Infrastructure of every process; knows nothing of credits and videos."""

import sys
from importlib import import_module

if "rich" not in sys.modules:  # structlog would load it for tracebacks that we do not show: 0.1 s, some MB
    sys.modules["rich"] = None  # type: ignore[assignment]
    import_module("structlog")
    del sys.modules["rich"]
