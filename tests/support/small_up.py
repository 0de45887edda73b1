"""`neurocards up` whose only service is the sandbox: what holds for one of its processes holds for all."""

from services.cli.main import app
from services.local import up

if __name__ == "__main__":
    vars(up)["SERVICES"] = ()
    app()
