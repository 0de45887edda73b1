"""Embedded servers and the supervisor behind `neurocards up`."""

from importlib import import_module

import_module("services.platform")  # first, as it keeps structlog light
