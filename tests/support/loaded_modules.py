"""A process that begins and ends as every service does, and says what of OpenTelemetry it has loaded then."""

import sys

from services.platform.process import run_service
from services.platform.settings import Settings, load_settings


async def _serve(settings: Settings) -> None:
    pass


if __name__ == "__main__":
    run_service(_serve, load_settings(), "fake")
    loaded = {name for name in sys.modules if name.startswith("opentelemetry")} - {"opentelemetry"}
    sys.stdout.write(f"loaded: {' '.join(sorted(loaded))}\n")
