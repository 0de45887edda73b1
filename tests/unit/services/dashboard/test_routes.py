"""docs/dashboard.md lists every route and who may ask it; NEUROCARDS_WRITE_GOLDEN=1 writes it anew."""

import os
from pathlib import Path

from services.dashboard.pages import ROUTES
from services.dashboard.routes import Role

DOCUMENT = Path(__file__).parents[4] / "docs/dashboard.md"
BEGIN, END = "<!-- routes -->\n", "<!-- end -->"


def test_the_table_of_routes_is_what_the_code_has() -> None:
    names = ["without a session", *(role.name for role in Role if role)]
    rows = [["route", *names], ["---"] * 5] + [
        [f"`{route.method} {route.path}`", *("x" if role >= route.least else "" for role in Role)]
        for route in sorted(ROUTES, key=lambda route: (route.path, route.method))
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    stands, _, after = rest.partition(END)
    if os.environ.get("NEUROCARDS_WRITE_GOLDEN"):
        DOCUMENT.write_text(f"{before}{BEGIN}{table}{END}{after}", "utf-8")
    else:
        assert stands == table
