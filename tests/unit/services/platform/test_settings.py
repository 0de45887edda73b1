"""Settings: what is wrong is named in one line, what has no key goes to the sandbox, no secret is shown."""

from pathlib import Path

import pytest

from services.cli.commands.serve import READS, Service
from services.platform.errors import SettingsError
from services.platform.settings import Settings, environment_of, fields_of, load_settings, variable_name
from services.platform.settings_secrets import SECRETS
from tests.support.env_example import render_example

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")  # the suite's own setup reads none


def test_nothing_set_means_sandbox_for_everything() -> None:
    settings = load_settings()
    assert settings.needs_sandbox
    assert settings.telegram_base == "http://127.0.0.1:8081/telegram"
    assert settings.telegram_token.get_secret_value() == "111111:sandbox"
    assert settings.kie_base == settings.kie_upload_base == "http://127.0.0.1:8081/kie"
    assert [key.get_secret_value() for key in settings.kie_keys] == ["sandbox-key-1"]
    assert settings.openai_base == "http://127.0.0.1:8081/openai/v1"
    assert settings.yookassa_base == "http://127.0.0.1:8081/yookassa/v3"


def test_a_key_makes_one_company_real_and_leaves_the_others() -> None:
    settings = load_settings(kie_api_keys="k-one, k-two,")
    assert [key.get_secret_value() for key in settings.kie_keys] == ["k-one", "k-two"]
    assert settings.kie_base == "https://api.kie.ai"
    assert settings.kie_upload_base == "https://kieai.redpandaai.co"
    assert not settings.uses_sandbox_for("kie")
    assert settings.uses_sandbox_for("telegram")


def test_an_address_without_a_key_is_a_sandbox_elsewhere() -> None:
    settings = load_settings(kie_api_url="http://sandbox:8081/kie/")
    assert settings.kie_base == settings.kie_upload_base == "http://sandbox:8081/kie"
    assert not settings.uses_sandbox_for("kie")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=1111\nFREE_CREDITS=7\nNEUROCARDS_DATA_DIR=/elsewhere\n")
    monkeypatch.setenv("WEB_PORT", "2222")
    settings = load_settings()
    assert (settings.web_port, settings.free_credits, settings.data_dir) == (2222, 7, Path("/elsewhere"))


def test_secrets_may_be_files_of_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    with pytest.raises(SettingsError, match="SECRETS_DIR: cannot be read"):
        load_settings()
    folder.mkdir()
    files = {"kie_api_keys": "one,two\n", "bot_token": "", "web_port": "1", "callback_secret": "x" * 32}
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setenv("CALLBACK_SECRET", "y" * 32)
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.kie_keys] == ["one", "two"]
    assert settings.bot_token is None and settings.web_port != 1, "empty is not set; only secrets are read"
    assert settings.callback_keys[0].get_secret_value() == "y" * 32, "the environment wins"
    assert environment_of("worker")["KIE_API_KEYS"] == "one,two"
    assert "KIE_API_KEYS" not in environment_of("monitor")


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("BOT_TOKEN", "not-a-token", "@BotFather"),
        ("WEB_PORT", "70000", "65535"),
        ("LEASE_SECONDS", "soon", "number"),
        ("LEASE_SECONDS", "901", "JOB_DEADLINE_SECONDS"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("REDIS_URL", "http://x", "redis://"),
        ("REDIS_URL", "redis://h1,h2/0", "redis+sentinel://"),
        ("REDIS_URL", "redis+sentinel://h1,h2", "NAME"),
        ("BLOBS_URL", "https://storage.example.com/cards", "s3://bucket/prefix"),
        ("BLOBS_URL", "s3://cards/media?endpont=https://storage.example.com", "s3://bucket/prefix"),
        ("BLOBS_URL", "s3://cards/a/../b", "s3://bucket/prefix"),
        ("BLOBS_URL", "s3://ID:SECRET@cards", "a setting of its own"),
        ("BLOBS_FORMER_URL", "folder", "where BLOBS_URL leads"),
        ("BLOBS_KEY", "AKIAIOSFODNN7EXAMPLE", "ID:SECRET"),
        ("NOTES_BUCKET", "s3://notes/cards", "NOTES_BUCKET_KEY"),
        ("NOTES_BUCKET", "s3://notes/cards?days=ten", "locked"),
        ("SMTP_URL", "mail.example.com", "smtps://"),
        ("SMTP_URL", "smtps://:465", "name a host"),
        ("NOTES_MAIL_TO", "olga", "pattern"),
        ("KIE_API_URL", "api.kie.ai", "https://"),
        ("CALLBACK_SECRET", "short", "16 characters"),
        ("LOG_FORMAT", "xml", "json"),
        ("YOOKASSA_SECRET_KEY", "only-the-secret", "YOOKASSA_SHOP_ID"),
        ("KIE_API_KEYS_RETIRING", "the-only-one", "KIE_API_KEYS"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(caught.value.problems) == 1
    line = caught.value.problems[0]
    assert "\n" not in line and hint in line
    assert line.startswith(("YOOKASSA_SHOP_ID:", "KIE_API_KEYS:", "NOTES_BUCKET_KEY:", f"{variable}:"))
    if "KEY" in variable or "TOKEN" in variable or "SECRET" in variable:
        assert value not in line


def test_a_key_is_in_use_or_retiring() -> None:
    with pytest.raises(SettingsError, match="has a key that KIE_API_KEYS has too"):
        load_settings(kie_api_keys="a,b", kie_api_keys_retiring="c,b")


def test_every_wrong_setting_gets_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", "x")
    monkeypatch.setenv("SANDBOX_PORT", "-1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert [line.split(":")[0] for line in caught.value.problems] == ["SANDBOX_PORT", "WEB_PORT"]


def test_a_missing_connection_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL: is not set; .*neurocards up"):
        load_settings().require_database_url()
    with pytest.raises(SettingsError, match="REDIS_URL"):
        load_settings().require_redis_url()


def test_no_secret_in_the_representation() -> None:
    settings = load_settings(
        bot_token="123456:secret-token",
        database_url="postgresql://u:hunter2@h/d",
        redis_url="redis://:hunter2@h",
    )
    shown = repr(settings) + str(settings)
    assert "secret-token" not in shown
    assert "hunter2" not in shown


def test_callbacks_have_a_secret_of_their_own_where_anybody_is_real() -> None:
    assert load_settings().callback_keys == load_settings().callback_keys
    for real in ({"kie_api_keys": "k1"}, {"bot_token": "123456:secret-token"}):
        with pytest.raises(SettingsError, match="CALLBACK_SECRET: is not set"):
            _ = load_settings(**real).callback_keys
        keys = load_settings(callback_secret=f"{'x' * 16},{'y' * 16}", **real).callback_keys
        assert [key.get_secret_value() for key in keys] == ["x" * 16, "y" * 16]


def test_what_is_secret_is_in_the_table_of_who_gets_it() -> None:
    hidden = {
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) or not field.repr
    }
    personal = {"admin_ids", "yookassa_shop_id", "checkpoint_key_file", "notes_chat_id", "notes_mail_to"}
    personal.add("alerts_chat_id")
    assert SECRETS.keys() == hidden | personal
    assert frozenset().union(*SECRETS.values()) == set(Service)
    assert READS[Service.monitor] <= fields_of("monitor")


def test_a_process_is_given_its_own_settings_from_everywhere_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        "BOT_TOKEN=1:file\nforget_secret=in-file\nFREE_CREDITS=7\nOTHER=1\nWEB_PORT\n"
    )
    monkeypatch.setenv("BOT_TOKEN", "")  # empty is not set
    monkeypatch.setenv("kie_api_keys", "in-any-case")
    monkeypatch.setenv("DATA_DIR", "/by-field")
    monkeypatch.setenv("SOMEBODY_ELSES", "stays")
    more = {"REDIS_URL": "redis://x", "DATABASE_URL": "postgresql://own", "FREE_CREDITS": "8"}
    bot, web, monitor, server = (environment_of(name, more) for name in ("bot", "web", "monitor", ""))
    assert (bot["BOT_TOKEN"], bot["FORGET_SECRET"], bot["FREE_CREDITS"]) == ("1:file", "in-file", "8")
    assert (web["KIE_API_KEYS"], web["NEUROCARDS_DATA_DIR"]) == ("in-any-case", "/by-field")
    for env, secrets in (
        (bot, {"BOT_TOKEN", "FORGET_SECRET", "DATABASE_URL", "REDIS_URL"}),
        (web, {"KIE_API_KEYS", "DATABASE_URL", "REDIS_URL"}),
        (monitor, {"DATABASE_URL"}),
        (server, set()),
    ):
        assert {name for name in env if name.lower() in SECRETS} == secrets
        assert env["SOMEBODY_ELSES"] == "stays" and not {"OTHER", "WEB_PORT"} & env.keys()


def test_people_who_are_real_are_remembered_under_a_secret_of_its_own_or_not_at_all() -> None:
    token = "123456:secret-token"
    (sandboxs,) = load_settings().forget_secrets
    for wrong in ({}, {"telegram_api_url": "http://127.0.0.1:8081/telegram"}):
        with pytest.raises(SettingsError, match="FORGET_SECRET: is not set; people are real"):
            _ = load_settings(bot_token=token, **wrong).forget_secrets
    assert load_settings(bot_token="111111:sandbox").forget_secrets == (sandboxs,)
    new_and_old = load_settings(bot_token=token, forget_secret=f" {'n' * 16}, {'o' * 16}").forget_secrets
    assert [secret.get_secret_value() for secret in new_and_old] == ["n" * 16, "o" * 16]
    with pytest.raises(SettingsError, match="16 characters"):
        load_settings(forget_secret=f"{'n' * 16},short")


def test_the_example_lists_every_setting_and_is_in_step() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == render_example()


def test_the_example_is_itself_valid(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    active = "\n".join(
        line[1:] if line.startswith("#") and line[1:2].isupper() else line for line in text.split("\n")
    )
    (tmp_path / ".env").write_text(active, encoding="utf-8")
    assert load_settings() == Settings(_env_file=None)  # type: ignore[call-arg]
