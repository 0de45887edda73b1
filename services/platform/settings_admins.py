"""Settings of who may give commands in the chat."""

import re
from typing import Annotated, Any, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.platform.settings_traces import TraceFields

_ADMIN: Final = re.compile(r"[a-z0-9_-]{1,32}=[1-9][0-9]{0,17}")


class AdminFields(TraceFields):
    """Names instead of Telegram ids are what events say, since they hold no personal data."""

    admin_ids: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Who may use /grant, /refund_job and /user in the chat: name=Telegram id, separated by "
        "commas; events name them admin:<name>",
    )

    @property
    def admins(self) -> dict[int, str]:
        """Names by Telegram id."""
        pairs = (admin.partition("=") for admin in self.admin_ids)
        return {int(number): name for name, _, number in pairs}

    @field_validator("admin_ids", mode="before")
    @classmethod
    def _admins(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        items = [str(item).strip() for item in items if str(item).strip()]
        if not all(_ADMIN.fullmatch(item) for item in items):
            raise ValueError("write name=Telegram id, e.g. anna=4242; a name is made of a-z, 0-9, - and _")
        return items
