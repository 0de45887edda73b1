"""What models are told: per style a form for the writing model and a template that needs no model.

Pure functions over the `.toml` files beside this one. A text that changes takes a new `version`; the event
of a written prompt records `<style>@<version>`, so that it can be told what a video was made from.

    scripts.py    the writing model's form, its answer checked, and the prompt made of it
    templates.py  the files, and the prompt when there is no answer
"""

from services.generation.prompts.scripts import (
    Script,
    ScriptError,
    ScriptForm,
    compose,
    read_script,
    request,
    script_form,
)
from services.generation.prompts.templates import STYLES, Frame, fallback, style, template_name

__all__ = [
    "STYLES",
    "Frame",
    "Script",
    "ScriptError",
    "ScriptForm",
    "compose",
    "fallback",
    "read_script",
    "request",
    "script_form",
    "style",
    "template_name",
]
