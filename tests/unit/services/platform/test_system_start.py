"""The digest of settings tells one from another, and nothing of what is secret or personal."""

from services.platform.settings import Settings, load_settings
from services.platform.system_start import settings_digest
from tests.support.each import each

SET = {
    "database_url": "postgresql://bot:secret@db/neurocards",
    "bot_token": "1234567890:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "forget_secret": ("a secret that is long enough",),
    "admin_ids": (4242,),
}


def settings(**changes: object) -> Settings:
    return load_settings(**(SET | changes))


@each(
    "changes",
    [
        {"database_url": "postgresql://bot:another@db/neurocards"},
        {"bot_token": "1234567891:BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
        {"forget_secret": ("another secret, long enough", "a secret that is long enough")},
        {"admin_ids": (4343, 4444)},
        {"instance_name": "w7", "health_port": 9000, "ready_file": "ready.json", "data_dir": "/srv"},
    ],
)
def test_whoever_guesses_a_secret_learns_nothing_from_it(changes: dict[str, object]) -> None:
    assert settings_digest(settings(**changes)) == settings_digest(settings())


@each(
    "changes",
    [
        {"free_credits": 7},
        {"database_url": "postgresql://bot:secret@elsewhere/neurocards"},
        {"database_url": None},
        {"redis_url": "redis+sentinel://:secret@h1:26379,h2:26379/name"},
        {"forget_secret": ()},
        {"admin_ids": ()},
        {"kie_api_keys": ("a", "b")},
        {"verify_every_seconds": 1},
        {"kie_result_hosts": ("x.test",)},
    ],
)
def test_another_setting_is_another_digest(changes: dict[str, object]) -> None:
    assert settings_digest(settings(**changes)) != settings_digest(settings())
