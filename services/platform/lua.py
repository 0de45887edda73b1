"""Lua scripts beside the modules that run them."""

from importlib.resources import files


def load_script(package: str, *names: str) -> str:
    return "\n".join(files(package).joinpath(f"{name}.lua").read_text("utf-8") for name in names)
