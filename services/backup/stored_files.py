"""Files beside the database: photos, videos, signed notes, the signing key.

Each is written aside and renamed, never changed in place. So one that an earlier backup holds with the same
size and time is linked to that copy: a second backup costs what is new. Photos and videos in a bucket are
fetched, and put back, by the blob store.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from services.backup.repository import BackupDamagedError
from services.platform.blobs import BlobFacts, BlobMissingError, BlobStore
from services.platform.settings import Settings
from services.recovery import checkpoint_files

LIST = "files.jsonl"
TREE = "files"
BLOBS = "blobs"
AT_ONCE = 8
_CHUNK_BYTES = 1 << 20


class Kept(msgspec.Struct, frozen=True):
    path: str
    size_bytes: int
    modified_ns: int
    sha256: str


def sources(settings: Settings) -> dict[str, Path]:
    """What is kept (folders and the key), by place in a backup; not what is in a bucket."""
    key = checkpoint_files.key_path(settings)
    found = {checkpoint_files.FOLDER: checkpoint_files.folder(settings)}
    if not in_bucket(settings):
        found = {BLOBS: settings.data_dir.expanduser() / BLOBS} | found
    return found | ({checkpoint_files.KEY_FILE: key} if key is not None else {})


def in_bucket(settings: Settings) -> bool:
    """Whether photos and videos are elsewhere than in the folder alone."""
    return bool(settings.blobs_url or settings.blobs_former_url)


def copy_in(
    wanted: Mapping[str, Path],
    target: Path,
    earlier: Path | None,
    progress: Callable[[int], None],
    blobs: Sequence[Kept] = (),
) -> list[Kept]:
    """Copy into `target`, but files erased meanwhile; returns the stored list, with `blobs` that are there.

    `progress` gets bytes.
    """
    before = {file.path: file for file in read_list(earlier)} if earlier else {}
    kept, done = list(blobs), 0
    for path, source in _walk(wanted):
        try:
            kept.append(_keep(path, source, target / TREE, before.get(path), earlier))
        except FileNotFoundError:
            continue
        done += kept[-1].size_bytes
        progress(done)
    with (target / LIST).open("wb") as file:
        file.writelines(msgspec.json.encode(one) + b"\n" for one in kept)
        file.flush()
        os.fsync(file.fileno())
    return kept


async def copy_blobs(
    blobs: BlobStore, target: Path, earlier: Path | None, progress: Callable[[int, int], None]
) -> list[Kept]:
    """Fetch photos and videos into `target`; `progress` gets bytes, and those in all."""
    before = {file.path: file for file in read_list(earlier)} if earlier else {}
    found = [facts async for facts in blobs.all()]
    total, done, kept = sum(facts.size_bytes for facts in found), 0, []
    waiting = iter(found)

    async def work() -> None:
        nonlocal done
        for facts in waiting:
            path = f"{BLOBS}/{facts.key}"
            try:
                kept.append(await _fetch(blobs, facts, target / TREE / path, before.get(path), earlier))
            except BlobMissingError:
                (target / TREE / path).unlink(missing_ok=True)  # erased meanwhile
            done += facts.size_bytes
            progress(done, total)

    working = [asyncio.ensure_future(work()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*working)
    finally:  # when one has failed, the others write no more into what is removed
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return kept


async def put_back_blobs(backup: Path, blobs: BlobStore) -> int:
    """Put back photos and videos that the store has not; returns number."""
    count = 0
    for kept in read_list(backup):
        top, _, key = kept.path.partition("/")
        if top == BLOBS and await blobs.size_bytes(key) is None:
            await blobs.put(key, _chunks(backup / TREE / kept.path), size_bytes_max=kept.size_bytes)
            count += 1
    return count


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


async def _fetch(
    blobs: BlobStore, facts: BlobFacts, target: Path, before: Kept | None, earlier: Path | None
) -> Kept:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if before and _link(before, (facts.size_bytes, facts.modified_ns), target, earlier):
        return before
    digest, size = sha256(), 0
    with target.open("wb") as file:
        async for chunk in blobs.stream(facts.key):
            size += len(chunk)
            digest.update(chunk)
            file.write(chunk)
    await asyncio.to_thread(sync, target)
    path = f"{BLOBS}/{facts.key}"
    return Kept(path, size, facts.modified_ns, digest.hexdigest())


def read_list(backup: Path) -> list[Kept]:
    """Raises BackupDamagedError."""
    decoder = msgspec.json.Decoder(Kept)
    try:
        with (backup / LIST).open("rb") as file:
            return [decoder.decode(line) for line in file]
    except (OSError, msgspec.DecodeError) as error:
        raise BackupDamagedError([f"{backup / LIST} cannot be read: {error}"]) from error


def damaged(backup: Path) -> list[str]:
    try:
        kept_files = read_list(backup)
    except BackupDamagedError as error:
        return list(error.problems)
    problems = []
    for kept in kept_files:
        path = backup / TREE / kept.path
        try:
            if not path.is_file():
                problems.append(f"{kept.path} is missing")
            elif _digest(path) != kept.sha256:
                problems.append(f"{kept.path} is not what was backed up")
        except OSError as error:
            problems.append(f"{kept.path} cannot be read: {error.strerror}")
    return problems


def put_back(backup: Path, settings: Settings, *, blobs: bool) -> int:
    """Restore missing files, overwriting none; returns number. Media only with `blobs`: some were erased."""
    key = settings.checkpoint_key_file or checkpoint_files.made_here(settings)
    places = sources(settings) | {checkpoint_files.KEY_FILE: key.expanduser()}
    count = 0
    for kept in read_list(backup):
        top, _, rest = kept.path.partition("/")
        if top not in places:
            continue  # in a bucket
        target = places[top] / rest if rest else places[top]
        if target.exists() or (top == BLOBS and not blobs):
            continue
        _make_folder(target.parent)
        fresh = target.with_name(f".{target.name}.restored")
        shutil.copy2(backup / TREE / kept.path, fresh)
        own_like(fresh, target.parent)
        sync(fresh)
        fresh.replace(target)
        count += 1
    return count


def size_bytes(wanted: Mapping[str, Path]) -> int:
    return sum(path.stat().st_size for _, path in _walk(wanted) if path.exists())


def _walk(wanted: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    for name, source in wanted.items():
        if source.is_file():
            yield name, source
        for path in sorted(source.rglob("*")) if source.is_dir() else ():
            if path.is_file() and not path.name.startswith("."):  # half written
                yield f"{name}/{path.relative_to(source).as_posix()}", path


def _keep(path: str, source: Path, tree: Path, before: Kept | None, earlier: Path | None) -> Kept:
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    stat = source.stat()
    if before and _link(before, (stat.st_size, stat.st_mtime_ns), target, earlier):
        return before
    shutil.copy2(source, target)
    sync(target)
    copied = target.stat()
    return Kept(path, copied.st_size, stat.st_mtime_ns, _digest(target))


def _link(before: Kept, now: tuple[int, int], target: Path, earlier: Path | None) -> bool:
    """Link to the earlier copy. False: it has another size or time, or that cannot be done."""
    if earlier is None or (before.size_bytes, before.modified_ns) != now:
        return False
    try:
        os.link(earlier / TREE / before.path, target)
    except OSError:
        return False  # the earlier copy is gone, or this file system has no links: copy it
    return True


def own_like(path: Path, folder: Path) -> None:
    """Give it the folder's owner, where allowed: root restores for others."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700)
        own_like(folder, folder.parent)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
