"""The whole examination, in the order in which a person would mend things."""

from services.cli.doctor.check import Check, fail
from services.cli.doctor.checkpoint_key import check_signing
from services.cli.doctor.companies import check_companies
from services.cli.doctor.connections import check_database, check_redis_server
from services.cli.doctor.machine import (
    check_env_file,
    check_folder,
    check_forget_secret,
    check_ports,
    check_programs,
)
from services.cli.doctor.openai_models import check_models
from services.cli.environment import settings_here
from services.platform.errors import SettingsError


async def examine() -> list[Check]:
    """Every check; with wrong settings only those, as the rest would speak of other settings."""
    try:
        settings = settings_here()
    except SettingsError as error:
        return [
            fail(name, reason.strip(), "set it right in the environment or .env; .env.example explains it")
            for name, _, reason in (problem.partition(":") for problem in error.problems)
        ]
    return [
        *check_env_file(),
        check_folder(settings),
        check_forget_secret(settings),
        *check_signing(settings),
        *check_programs(settings),
        *check_ports(settings),
        *await check_database(settings),
        *await check_redis_server(settings),
        *await check_companies(settings),
        *await check_models(settings),
    ]
