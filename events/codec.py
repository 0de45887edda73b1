"""Events to JSON text and back.

The type's name stands in its own column, so `data` carries only the fields. Text from outside may hold NUL
or lone surrogates; Postgres' `json` accepts an escaped NUL and then fails on every `->>`: both are removed.
"""

import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec

from events import account, job, payment, promo, system
from events.envelope import Recorded
from events.errors import CodecError, UnknownEventTypeError

Event = account.AccountEvent | job.JobEvent | payment.PaymentEvent | promo.PromoEvent | system.SystemEvent

EVENT_TYPES: Final[dict[str, type[Event]]] = {cls.__name__: cls for cls in typing.get_args(Event)}

DATA_BYTES_MAX: Final = 64 * 1024

_encoder = msgspec.json.Encoder()
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()
}
DECODE: Final[dict[str, Callable[[str | bytes], Any]]] = {
    name: decoder.decode for name, decoder in _decoders.items()
}
"""A type's name → what makes the event of its JSON text, for those who read millions; see `decode_data`."""


def encode(event: Event) -> str:
    """The event's fields as JSON text, without NUL or lone surrogates. Raises CodecError above 64 KiB."""
    try:
        data = _encoder.encode(event)
    except UnicodeEncodeError:
        data = _encoder.encode(_cleaned(event))
    if b"\\u0000" in data:
        data = _encoder.encode(_cleaned(event))
    if len(data) > DATA_BYTES_MAX:
        raise CodecError(f"{type(event).__name__} takes {len(data)} bytes, the limit is {DATA_BYTES_MAX}")
    return data.decode()


def decode(recorded: Recorded) -> Event:
    """The typed event of a row. Raises UnknownEventTypeError, or CodecError when the fields do not fit."""
    return decode_data(recorded.type, recorded.data, recorded.position)


def decode_data(type_name: str, data: str | bytes, position: int | None = None) -> Event:
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise UnknownEventTypeError(type_name, position)
    try:
        return typing.cast(Event, decoder.decode(data))
    except msgspec.DecodeError as error:
        at = "" if position is None else f" at position {position}"
        raise CodecError(f"{type_name}{at} cannot be read: {error}") from error


def clean_text(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


def _cleaned(event: Event) -> Any:
    def clean(value: Any) -> Any:
        match value:
            case str():
                return clean_text(value)
            case dict():
                return {clean(key): clean(item) for key, item in value.items()}
            case list() | tuple():
                return [clean(item) for item in value]
            case _:
                return value

    return clean(msgspec.to_builtins(event))
