"""Corpora that are downloaded, each verified by SHA-256.

A figure measured on one refers to the same text everywhere.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from charlm.errors import CorpusError, RequestError
from charlm.extras import how_to_install
from charlm.files import write_atomically


@dataclass(frozen=True)
class Download:
    """The address of a corpus, and the SHA-256 of its bytes in lower-case hexadecimal."""

    url: str
    sha256: str


_RAW = "https://raw.githubusercontent.com"
# A later version of the file ends with a table of special characters.
_DANTE_COMMIT = "8f4e82cbcfeadca0b641bf60970e81ffdae9a3f4"
DOWNLOADS: Mapping[str, Download] = {
    "shakespeare": Download(
        f"{_RAW}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "dante": Download(
        f"{_RAW}/gmagistr/divina-commedia-nanogpt/{_DANTE_COMMIT}/divina_commedia.txt",
        "81f9544d85aff13c525d5f7e5428e628a6acbe60ad749f9df1ccf952f34de4a9",
    ),
    "names": Download(
        f"{_RAW}/karpathy/makemore/master/names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    ),
}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Fetched:
    """A downloaded corpus: its file, and whether that existed already."""

    path: Path
    reused: bool


def fetch(
    name: str,
    directory: Path,
    *,
    filename: str | None = None,
    force: bool = False,
    downloads: Mapping[str, Download] = DOWNLOADS,
    timeout: float = 30.0,
) -> Fetched:
    """Download a corpus into `directory` as NAME.txt (or `filename`) and verify its SHA-256.

    A file with the right hash is reused. A different file of that name is replaced only with
    `force`. The download is verified before it is written to `directory`, and written atomically.
    `downloads` is the table of addresses, `timeout` is in seconds. Raises RequestError for a name
    that is not in the table, a different file of that name or a missing pooch; CorpusError if the
    download fails or its hash is wrong.
    """
    if name not in downloads:
        raise RequestError(f"no corpus {name!r} to download: choose from {', '.join(downloads)}")
    wanted = downloads[name]
    target = directory / (filename or f"{name}.txt")
    try:
        if target.is_file() and file_sha256(target) == wanted.sha256:
            return Fetched(target, reused=True)
    except OSError as error:
        raise CorpusError(f"cannot read {target}: {error.strerror or error}") from error
    if target.exists() and not force:
        raise RequestError(f"{target} exists and is a different text: give --force to replace it")
    try:
        import pooch
    except ImportError as error:
        raise RequestError(
            f"downloading needs pooch, which is not installed: {how_to_install('data')}"
        ) from error
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as elsewhere:
            arrived = Path(elsewhere, name)
            pooch.HTTPDownloader(timeout=timeout, progressbar=False)(wanted.url, arrived, None)
            data = arrived.read_bytes()
        got = hashlib.sha256(data).hexdigest()
        if got != wanted.sha256:
            raise CorpusError(
                f"{wanted.url} is not the expected text: SHA-256 {got}, expected {wanted.sha256}; "
                "it may have changed, or the download was cut short: try again later"
            )
        write_atomically(target, data)
    except (OSError, ValueError) as error:
        # requests raises subclasses of OSError for refused connections and HTTP errors alike.
        cause = " ".join(str(error).split())
        raise CorpusError(f"cannot download {wanted.url}: {cause}; is the network up?") from error
    return Fetched(target, reused=False)
