"""Endpoints of the outside companies, and the sandbox's for them."""

from dataclasses import dataclass
from typing import Literal

CompanyName = Literal["telegram", "kie", "openai", "yookassa"]

KIE_UPLOAD_LIVE_BASE = "https://kieai.redpandaai.co"


@dataclass(frozen=True)
class Company:
    name: CompanyName
    key_variable: str
    """The environment variable that holds its key."""
    live_base: str
    sandbox_path: str
    """Its path in the sandbox."""
    sandbox_key: str
    """The key the sandbox accepts; known to everyone, worth nothing."""


_COMPANIES = (
    Company("telegram", "BOT_TOKEN", "https://api.telegram.org", "/telegram", "111111:sandbox"),
    Company("kie", "KIE_API_KEYS", "https://api.kie.ai", "/kie", "sandbox-key-1"),
    Company("openai", "OPENAI_API_KEY", "https://api.openai.com/v1", "/openai/v1", "sk-sandbox"),
    Company("yookassa", "YOOKASSA_SECRET_KEY", "https://api.yookassa.ru/v3", "/yookassa/v3", "test_sandbox"),
)
COMPANIES: dict[CompanyName, Company] = {company.name: company for company in _COMPANIES}
YOOKASSA_SANDBOX_SHOP = "100500"
