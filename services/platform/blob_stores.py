"""The store of photos and videos that the settings name: a folder, or a bucket."""

from pydantic import SecretStr

from services.platform.blobs import BlobStore, FolderBlobs
from services.platform.settings import Settings


def open_blobs(settings: Settings) -> BlobStore:
    """The store; nothing is connected yet."""
    return _store(settings, settings.blobs_url, settings.blobs_key or settings.blobs_read_key)


def _store(settings: Settings, url: str | None, key: SecretStr | None) -> BlobStore:
    if url is None:
        return FolderBlobs(settings.data_dir.expanduser() / "blobs")
    from services.platform.s3_blobs import S3Blobs  # loads a client that a folder does not need

    return S3Blobs(url, key.get_secret_value() if key else None)
