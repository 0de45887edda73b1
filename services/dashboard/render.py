"""Jinja2 environments, one per language, and their filters.

Everything is escaped. Times are UTC. What is not known is said so: `None` is never rendered as 0.
"""

import gettext
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from babel.numbers import format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from events.stream_names import account_of, job_of, payment_of
from services.dashboard.figures import Figure
from services.dashboard.names import spoken
from services.dashboard.routes import Role
from services.platform.catalogues import LOCALES, N_, compiled, read_catalogue

CREDIT_MILLI: Final = 1000
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
_SIGNS: Final = {"RUB": "₽", "XTR": "⭐"}
NAVIGATION: Final = (
    ("/", N_("Home")),
    ("/errors", N_("Errors")),
    ("/jobs", N_("Jobs")),
    ("/people", N_("People")),
    ("/money", N_("Money")),
    ("/events", N_("Events")),
    ("/audit", N_("Audit")),
    ("/machinery", N_("Machinery")),
    ("/operations", N_("Operations")),
)
"""Pages in the head of every page."""
ROLES: Final = {Role.auditor: N_("auditor"), Role.operator: N_("operator"), Role.owner: N_("owner")}


class Renderer:
    """Renders templates in a language. Raises jinja2's errors for a defect of a template."""

    def __init__(self, *, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._now_us = now_us
        self.texts = {locale: load_texts(locale) for locale in LOCALES}
        self._environments = {locale: self._environment(locale) for locale in LOCALES}

    def render(self, locale: str, template: str, **facts: Any) -> str:
        return self._environments[locale].get_template(template).render(**facts)

    def _environment(self, locale: str) -> Environment:
        texts = self.texts[locale]
        made = Environment(
            loader=PackageLoader("services.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
        words = Words(locale, texts, self._now_us)
        made.globals.update(
            {
                "locale": locale,
                "now_us": self._now_us,
                "source": words.source,
                "count": lambda value, events: Figure(value, of=events),
                "operator": Role.operator,
                "navigation": [(path, texts.gettext(name)) for path, name in NAVIGATION],
                "Role": Role,
                "roles": {role: texts.gettext(name) for role, name in ROLES.items()},
            }
        )
        made.filters.update(
            {
                "number": words.number,
                "unit": words.in_unit,
                "figure": words.figure,
                "when": words.when,
                "age": words.age,
                "seconds": words.seconds,
                "hour": lambda time_us: datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%H"),
                "named": lambda value: value and texts.gettext(spoken(value)),
                "position": position_link,
                "stream": stream_link,
                "account": account_link,
                "job": job_link,
                "payment": payment_link,
            }
        )
        shared = made.get_template("_lists.html").module
        made.globals.update({name: value for name, value in vars(shared).items() if name[0] != "_"})
        return made


def load_texts(locale: str) -> gettext.NullTranslations:
    """Translations of the dashboard's msgids, which are English."""
    if locale == "en":
        return gettext.NullTranslations()
    with as_file(files("services.dashboard") / "locales") as path:
        return compiled(read_catalogue(Path(path), locale, "dashboard"))


class Words:
    """Numbers and times in one language."""

    def __init__(self, locale: str, texts: gettext.NullTranslations, now_us: Callable[[], int]) -> None:
        self._locale, self._texts, self._now_us = locale, texts, now_us

    def number(self, value: float | None, digits: int = 0) -> str:
        if value is None:
            return self._texts.gettext("unknown")
        form = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(value, form, locale=self._locale)

    def in_unit(self, value: float | None, unit: str = "count", currency: str = "RUB") -> str:
        """A number with its unit, as in `Figure`."""
        if value is None:
            return self._texts.gettext("unknown")
        match unit:
            case "minor" if currency == "XTR":
                return f"{self.number(value)} {_SIGNS[currency]}"
            case "minor":
                return f"{self.number(value / 100, 2)} {_SIGNS.get(currency, currency)}"
            case "seconds":
                return self.seconds(value)
            case "percent":
                return f"{self.number(value, 1)} %"
            case "milli":
                return self.number(value / CREDIT_MILLI, 1)
            case "bytes":
                return self._texts.gettext("%s MB") % self.number(value / 1e6, 1)
        return self.number(value)

    def figure(self, figure: Figure) -> Markup:
        """A link to its events, or the figure with its source; what is not known is said so."""
        if figure.value is None:
            return Markup('<span class="muted">{}</span>').format(self._texts.gettext("unknown"))
        text = self.in_unit(figure.value, figure.unit, figure.currency)
        if href := figure.href():
            return Markup('<a class="n" href="{}">{}</a>').format(href, text)
        said = self.source(figure.source, figure.at_us)
        return Markup('<span class="n" title="{}">{}</span>').format(said, text)

    def source(self, name: str, at_us: int | None = None) -> str:
        """Where a figure is from, and how old it is."""
        age = "" if at_us is None else ", " + self.age(at_us)
        return self._texts.gettext("source: %s") % self._texts.gettext(name) + age

    def when(self, time_us: int | None) -> Markup:
        if not time_us:
            return Markup("—")
        at = datetime.fromtimestamp(time_us / 1e6, UTC)
        form = "%H:%M:%S" if abs(self._now_us() - time_us) < DAY_S * 500_000 else "%d.%m.%Y %H:%M"
        full = at.isoformat(timespec="milliseconds")
        return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(full, at.strftime(form))

    def age(self, time_us: int | None) -> str:
        """How long ago it was."""
        if not time_us:
            return self._texts.gettext("never")
        return self._texts.gettext("%s ago") % self.seconds(max(0, self._now_us() - time_us) / 1e6)

    def seconds(self, value: float | None) -> str:
        """A duration in its two largest units."""
        if value is None:
            return self._texts.gettext("unknown")
        whole, _ = int(value), self._texts.gettext
        if whole < MINUTE_S:
            return _("%s s") % whole
        if whole < HOUR_S:
            return _("%s min") % (whole // MINUTE_S)
        if whole < 2 * DAY_S:
            return _("%(h)s h %(m)s min") % {"h": whole // HOUR_S, "m": whole % HOUR_S // MINUTE_S}
        return _("%s d") % (whole // DAY_S)


def position_link(position: int | None) -> Markup:
    if not position:
        return Markup("—")
    return Markup('<a href="/events/{0}">{0}</a>').format(position)


def account_link(account: str | None) -> Markup:
    return _link("people", account)


def job_link(job: str | None) -> Markup:
    return _link("jobs", job)


def payment_link(payment: str | None) -> Markup:
    return _link("payments", payment)


def stream_link(stream: str) -> Markup:
    """A link to what the stream is of, or the stream."""
    for link, of in ((account_link, account_of), (job_link, job_of), (payment_link, payment_of)):
        if name := of(stream):
            return link(name)
    return Markup('<a class="id" href="/events?{}">{}</a>').format(urlencode({"stream": stream}), stream)


def _link(page: str, name: str | None) -> Markup:
    href = f"/{page}/{quote(name or '', safe='')}"
    return Markup('<a class="id" href="{}">{}</a>').format(href, name) if name else escape("—")
