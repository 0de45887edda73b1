"""`neurocards serve <service>`: one process."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connections import settings_here

if TYPE_CHECKING:
    from services.platform.settings import Settings


class Service(StrEnum):
    """Names of services; each has `serve(settings)` in `services.<name>.main`."""

    bot = "bot"
    worker = "worker"
    relay = "relay"
    projector = "projector"
    notifier = "notifier"
    monitor = "monitor"
    maintenance = "maintenance"
    web = "web"
    dashboard = "dashboard"
    sandbox = "sandbox"


READS = {
    Service.monitor: {
        "database_url", "data_dir", "refund_life_seconds", "health_host", "health_port", "ready_file",
        "instance_name", "log_level", "log_format", "otel_exporter_otlp_endpoint",
        "otel_exporter_otlp_headers", "otel_traces_sampler_arg",
    }
}  # fmt: skip
"""The settings of a process that has to start although others are wrong."""


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    service: Annotated[
        Service,
        typer.Argument(
            metavar="SERVICE", help=f"The process to run: {', '.join(Service)}.", show_default=False
        ),
    ],
    env_file: Annotated[
        bool, typer.Option("--env-file/--no-env-file", help="Whether `.env` is read beside the environment.")
    ] = True,
) -> None:
    """Run one process until SIGTERM or Ctrl-C; logs go to stderr. It reads no secret that is not its own."""
    raise typer.Exit(_run(service, env_file=env_file))


def serve_forked(words: Sequence[str]) -> int | None:
    """Run `serve SERVICE --no-env-file`, as `up` does; its exit code. None for other words.

    Making typer's commands would touch, and so copy, five megabytes that the forked share.
    """
    match words:
        case ["serve", str(name), "--no-env-file"] if name in set(Service):
            return _run(Service(name), env_file=False)
    return None


def _run(service: Service, *, env_file: bool) -> int:
    import gc
    from importlib import import_module

    from services.platform.process import run_service
    from services.platform.settings import fields_of, load_only

    fields = READS.get(service) or fields_of(service)
    # `up` told everything: no look at a running one's addresses, beside which all passwords stand.
    settings = settings_here(fields) if env_file else load_only(fields, _env_file=None)
    # Modules are no garbage: not looking for any while they load saves up to a second of starting, and
    # walking through all of them at the end would take three (mostly aiogram's models).
    gc.disable()
    module = import_module(f"services.{service.value}.main")
    gc.freeze()
    gc.enable()

    async def begin(settings: "Settings") -> None:
        if settings.redis_url is not None:
            from services.platform.redis import require_redis

            await require_redis(settings)
        await module.serve(settings)

    code = run_service(begin, settings, service.value)
    gc.freeze()
    return code
