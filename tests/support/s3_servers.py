"""Servers that speak S3: SeaweedFS, which checks keys and keeps files, and moto, which knows more of AWS."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from services.adapters.object_lock import signed
from services.local.processes import free_port
from tests.support.waiting import eventually_now

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ROOT / ".venv-s3" / "bin"
HOST: Final = "127.0.0.1"
KEY: Final = "WRITER:writer-secret"
READER: Final = "READER:reader-secret"
REGION: Final = "us-east-1"


def missing() -> str | None:
    """What has to be installed first; None: all is there."""
    there = all((PROGRAMS / name).exists() for name in ("weed", "moto_server"))
    return None if there else "no S3 servers here (`make s3` installs them)"


class S3Server:
    """A server with one user who may do everything, and one who may read."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.port = kind, free_port(HOST)
        self._folder = folder / kind
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [str(PROGRAMS / "moto_server"), "-H", HOST, "-p", str(self.port)]
        if kind == "seaweedfs":
            self._folder.mkdir(parents=True)
            self._command = _weed(self._folder, self.port)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def url(self, bucket: str, prefix: str = "", **more: object) -> str:
        known = "".join(f"&{name}={value}" for name, value in more.items())
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}{known}"

    def start(self) -> None:
        log = (self._folder.parent / f"{self.kind}.log").open("ab")
        self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        eventually_now(self._answers, timeout_s=120)

    def kill(self) -> None:
        """As if its power were cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def make_bucket(self, name: str, *, locks: bool = False) -> None:
        headers = {"x-amz-bucket-object-lock-enabled": "true"} if locks else {}
        answer = self.ask("PUT", f"/{name}", headers)
        assert answer.status_code == 200, answer.text

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """A signed request, with a query in the form that is signed (`acl=`)."""
        url = f"{self.endpoint}{path}"
        return httpx.request(
            method, url, headers=signed(method, url, headers or {}, b"", KEY, REGION), timeout=30
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), 1):
                return self.ask("GET", "/").status_code == 200
        except (OSError, httpx.HTTPError):
            return False


@contextmanager
def running(
    folder: Path, *, kind: str = "seaweedfs", bucket: str = "media", locks: bool = False
) -> Iterator[S3Server]:
    """A server with a bucket; ends with the test."""
    server = S3Server(kind, folder)
    try:
        server.start()
        server.make_bucket(bucket, locks=locks)
        yield server
    finally:
        server.kill()


def _weed(folder: Path, port: int) -> list[str]:
    identities = folder / "identities.json"
    users = ((KEY, ["Admin", "Read", "Write", "List", "Tagging"]), (READER, ["Read", "List"]))
    known = [
        {"name": key.partition(":")[0], "actions": rights,
         "credentials": [dict(zip(("accessKey", "secretKey"), key.split(":"), strict=True))]}
        for key, rights in users
    ]  # fmt: skip
    identities.write_text(json.dumps({"identities": known}))
    others = (
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
    )
    ports = {name: free_port(HOST) for name in (*others, "s3.port.grpc")}
    options = {
        "ip": HOST, "ip.bind": HOST, "dir": folder, "filer": "true", "s3": "true", "s3.port": port, **ports,
        "s3.config": identities, "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64, "volume.max": 200, "volume.minFreeSpace": 0,
    }  # fmt: skip
    return [str(PROGRAMS / "weed"), "-logtostderr=true", "server", *(f"-{n}={v}" for n, v in options.items())]
