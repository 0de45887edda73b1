"""Loads Lua scripts, which lie beside the module that runs them."""

from importlib.resources import files


def load_script(package: str, *names: str) -> str:
    """The text of `<name>.lua` in the package; of several names, one after another."""
    return "\n".join(files(package).joinpath(f"{name}.lua").read_text("utf-8") for name in names)
