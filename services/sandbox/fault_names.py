"""Every fault the sandboxed APIs can act out, by API and call.

One table, so that a misspelt fault in a test is refused instead of silently never happening, and so that
seeded faults choose from something. What each name does is told where it is acted out: `faults.py`,
`kie/envelope.py` and `kie/tasks.py`, `openai/errors.py`, `yookassa/api.py` and `yookassa/notifications.py`,
`telegram/server.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

FaultTable = Mapping[str, Mapping[str, tuple[str, ...]]]

KIE_CALL = (
    "paused", "no_balance", "no_balance_500", "rate_limited", "maintenance", "server_error", "validation",
    "bad_key", "html_502", "http_500", "truncated_json", "empty_body", "drop_before", "drop_after_accept",
    "hang",
)  # fmt: skip
KIE_TASK = (
    "policy", "face", "google_policy", "task_transient", "task_timeout", "task_no_balance",
    "never_finishes", "success_without_url", "result_404", "result_not_video", "result_huge",
    "result_as_object", "unknown_state", "late_success",
)  # fmt: skip
KIE_CALLBACK = (
    "callback_twice", "callback_never", "callback_forged", "callback_before_answer",
    "callback_bad_signature",
)  # fmt: skip
_OPENAI = (
    "quota", "rate_limit", "bad_key", "region", "no_model", "bad_request", "policy", "server_error",
    "hang", "html_502", "html_200",
)  # fmt: skip
_OPENAI_ANSWER = ("refusal", "invalid_json", "half_filled", "truncated", "content_filter")
_YOOKASSA_READ = ("500_before", "429", "hang", "html_502", "reset")
_YOOKASSA_WRITE = ("500_after", *_YOOKASSA_READ)

_TELEGRAM = ("429", "500", "blocked", "html_502", "drop_before", "drop_after", "hang", "hang_after")
_TELEGRAM_METHODS = (
    "getMe", "getUpdates", "setWebhook", "deleteWebhook", "getWebhookInfo", "setMyCommands",
    "sendMessage", "editMessageText", "editMessageReplyMarkup", "editMessageCaption", "editMessageMedia",
    "deleteMessage", "answerCallbackQuery", "sendChatAction", "sendPhoto", "sendVideo", "sendDocument",
    "sendAnimation", "copyMessage", "getFile", "getChat", "sendInvoice", "answerPreCheckoutQuery",
    "refundStarPayment", "getStarTransactions",
)  # fmt: skip

FAULT_NAMES: FaultTable = {
    "telegram": {
        **dict.fromkeys(_TELEGRAM_METHODS, _TELEGRAM),
        "sendVideo": (*_TELEGRAM, "as_animation"),
        "file": ("html_502", "drop_before", "hang", "500"),
    },
    "kie": {
        "createTask": KIE_CALL + KIE_TASK + KIE_CALLBACK,
        "task": KIE_TASK,
        "callback": KIE_CALLBACK,
        "recordInfo": ("rate_limited", "server_error", "html_502", "truncated_json", "record_null", "drop"),
        "upload": ("html_502", "no_url", "drop"),
        "credit": ("bad_key", "server_error", "html_502", "drop", "hang"),
    },
    "openai": {
        "chat": _OPENAI + _OPENAI_ANSWER,
        "moderations": _OPENAI,
        "models": _OPENAI,
    },
    "yookassa": {
        "create": (*_YOOKASSA_WRITE, "notify_forged"),
        "get": _YOOKASSA_READ,
        "list": _YOOKASSA_READ,
        "capture": _YOOKASSA_WRITE,
        "cancel": _YOOKASSA_WRITE,
        "refund": _YOOKASSA_WRITE,
        "me": _YOOKASSA_READ,
        "notify": ("notify_twice", "notify_forged", "notify_reordered", "notify_never"),
    },
}
