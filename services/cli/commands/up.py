"""`neurocards up`: everything on this machine."""

import sys
from typing import Annotated, Any

import typer

from services.cli.connections import configure_command_logging
from services.cli.output import Output, OutputFormat, say


def register(app: typer.Typer) -> None:
    app.command("up")(up)


def up(
    workers: Annotated[int, typer.Option(help="How many generation workers.", min=1, max=64)] = 1,
    infra_only: Annotated[bool, typer.Option("--infra-only", help="Only the databases, migrated.")] = False,
    output: Output = OutputFormat.table,
) -> None:
    """Start everything: databases, sandbox for what has no key, all services. Ctrl-C stops it.

    So does closing the terminal, unless it was started with `nohup`; a second Ctrl-C ends everything at once.
    When everything is ready, stdout says where it is, once; with `-o json` in one line.
    """
    import asyncio
    import json

    from services.local.up import Options, Up
    from services.platform import parent_death
    from services.platform.settings import load_settings

    settings = load_settings()
    _ = infra_only or (settings.forget_secrets, settings.callback_keys)  # else bot and worker would not start
    configure_command_logging(settings, "up")

    line = sys.stderr.isatty()

    def step(words: str) -> None:
        """One line, written over itself; who reads a file gets none."""
        if line:
            typer.echo(f"\r\x1b[K{words}…" if words else "\r\x1b[K", err=True, nl=False)

    def tell(words: str) -> None:
        step("")
        say(words)

    def ready(facts: dict[str, Any]) -> None:
        step("")
        if infra_only:
            say("Ctrl-C stops them; the data stays")
        if output is OutputFormat.table:
            typer.echo(_words(facts, infra_only))
        else:  # one line in both, so that whoever waits for it reads a line
            typer.echo(json.dumps(facts))

    parent_death.hold()  # whoever started us in a program of theirs takes us along when they die

    async def run() -> None:
        await Up(settings, Options(workers=workers, infra_only=infra_only), tell, ready, step).run()

    asyncio.run(run())


def _words(facts: dict[str, Any], infra_only: bool) -> str:
    if infra_only:
        return f"DATABASE_URL={facts['database_url']}\nREDIS_URL={facts['redis_url']}"
    chat, folder = facts["chat_url"], facts["data"]
    where = f"Open {chat} in a browser" if chat else "Open your bot in Telegram"
    lines = [
        "",
        f"  {where}, press Start and send a photo of a product.",
        "",
        f"  dashboard  {facts['dashboard_link'] or facts['dashboard_url'] + '/'}",
        f"  data       {folder}",
        f"  logs       {folder}/logs, one file for each service",
        "  help       neurocards doctor says what is wrong and what to do",
        "",
        "  Ctrl-C stops everything; the data stays. To begin anew, stop it and delete the data folder.",
        "",
    ]
    return "\n".join(lines)
