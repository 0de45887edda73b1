"""Prompts: per style a form for the writing model and a fallback template.

Pure functions over the `.toml` files beside this one. A text that changes takes a new `version`; the event
of a written prompt records `<style>@<version>`, so that it can be told what a video was made from.

    scripts.py    the writing model's form, its answer checked, and the prompt made of it
    templates.py  the files, and the prompt when there is no answer
"""
