"""Generated and downloaded corpora: content, determinism, and no incomplete files."""

from __future__ import annotations

import builtins
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from charlm.errors import CorpusError, RequestError
from charlm.text import catalogue
from charlm.text.catalogue import CATALOGUE
from charlm.text.downloads import DOWNLOADS, Download, fetch
from charlm.text.generated import library

BODY = b"Nel mezzo del cammin\ndi nostra vita\n"
SHA = hashlib.sha256(BODY).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.hits.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/missing.txt":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server on the loopback interface; `hits` lists the paths asked for."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.hits = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def table(server: ThreadingHTTPServer, path: str, sha: str = SHA) -> dict[str, Download]:
    return {"dante": Download(f"http://127.0.0.1:{server.server_address[1]}{path}", sha)}


def test_a_good_download_is_verified_and_then_reused(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    pytest.importorskip("pooch")
    here = tmp_path / "new" / "corpora"
    first = fetch("dante", here, downloads=table(server, "/good.txt"))
    assert first.path.read_bytes() == BODY
    assert not first.reused
    again = fetch("dante", here, downloads=table(server, "/good.txt"))
    assert again.reused
    assert server.hits == ["/good.txt"]  # type: ignore[attr-defined]
    assert [each.name for each in here.iterdir()] == ["dante.txt"]


@pytest.mark.parametrize(
    ("path", "sha", "cause"),
    [("/good.txt", "0" * 64, "SHA-256"), ("/missing.txt", SHA, "404")],
)
def test_a_bad_download_leaves_nothing(
    server: ThreadingHTTPServer, tmp_path: Path, path: str, sha: str, cause: str
) -> None:
    pytest.importorskip("pooch")
    with pytest.raises(CorpusError, match=cause) as caught:
        fetch("dante", tmp_path, downloads=table(server, path, sha))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    downloads = table(httpd, "/good.txt")
    httpd.server_close()
    with pytest.raises(CorpusError, match="cannot download") as caught:
        fetch("dante", tmp_path, downloads=downloads)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_kept_unless_forced(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    pytest.importorskip("pooch")
    mine = tmp_path / "dante.txt"
    mine.write_text("mine")
    with pytest.raises(RequestError, match="--force"):
        fetch("dante", tmp_path, downloads=table(server, "/good.txt"))
    with pytest.raises(CorpusError):
        fetch("dante", tmp_path, force=True, downloads=table(server, "/missing.txt"))
    assert mine.read_text() == "mine"
    fetch("dante", tmp_path, force=True, downloads=table(server, "/good.txt"))
    assert mine.read_bytes() == BODY


def test_without_pooch_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pooch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RequestError, match=r"pip install -e '\.\[data\]'"):
        fetch("names", tmp_path)
    with pytest.raises(RequestError, match="no corpus 'petrarca'"):
        fetch("petrarca", tmp_path)


def test_the_catalogue_and_the_downloads_name_the_same_corpora() -> None:
    assert {entry.name for entry in CATALOGUE if entry.kind == "get"} == set(DOWNLOADS)
    assert {entry.kind for entry in CATALOGUE} == {"make", "get"}
    for download in DOWNLOADS.values():
        assert download.url.startswith("https://")
        assert len(download.sha256) == 64


@pytest.mark.parametrize("chars", [1, 2, 999, 12_345])
def test_viaggi_has_exactly_the_characters_asked_for(chars: int) -> None:
    text = catalogue.make_viaggi(chars, seed=4)
    assert len(text) == chars
    assert text.endswith("\n")
    assert text == catalogue.make_viaggi(chars, seed=4)


def test_viaggi_refuses_an_empty_text() -> None:
    with pytest.raises(RequestError):
        catalogue.make_viaggi(0)


def test_the_committed_diary_is_what_the_default_seed_makes() -> None:
    path = Path(__file__).parent.parent / "corpora" / "viaggi.txt"
    assert path.read_bytes().decode("utf-8") == catalogue.make_viaggi(200_000)


def test_python_prose_is_prose_once_each_in_the_seed_s_order() -> None:
    text = library.make_python_prose(1)
    paragraphs = text.rstrip("\n").split("\n\n")
    assert 900_000 < len(text) < 4_000_000
    assert len(paragraphs) == len(set(paragraphs))
    assert ">>>" not in text
    # Topics and docstrings are both there.
    assert any("formatted string literal" in each for each in paragraphs)
    assert any("Fibonacci" in each or "iterable" in each for each in paragraphs)
    letters = sum(char.isalpha() or char.isspace() for char in text)
    assert letters / len(text) > 0.9


@pytest.fixture
def small_library(tmp_path: Path) -> Path:
    """A small standard library with everything that must be left out."""
    sentence = "This {} says something that a person might want to read."
    module, function = sentence.format("module"), sentence.format("function")
    in_class = sentence.format("class") + "\n\n    And so it goes on, for a while."
    files = {
        "one.py": f'"""{module}"""\nclass A:\n    """{in_class}"""\n',
        "two.py": f'def f():\n    """{function}\n\n    >>> f() # a test, no prose\n    """\n',
        "test/test_one.py": f'"""{sentence.format("test")}"""\n',
        "pkg/tests/deep.py": f'"""{sentence.format("test")}"""\n',
        "site-packages/other.py": f'"""{sentence.format("package")}"""\n',
        "__pycache__/cached.py": f'"""{sentence.format("cache")}"""\n',
        "broken.py": "def (:\n",
    }
    root = tmp_path / "lib"
    for name, source in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source)
    (root / "latin.py").write_bytes(b'"""caff\xe9 is not UTF-8, says the reader of this."""\n')
    (root / "old.py").write_text('x = 1 is 1\ny = "\\d"\n')
    return root


@pytest.mark.filterwarnings("error")
def test_python_prose_of_a_small_library(small_library: Path) -> None:
    text = library.make_python_prose(0, small_library)
    paragraphs = sorted(text.rstrip("\n").split("\n\n"))
    assert paragraphs == [
        "And so it goes on, for a while.",
        "This class says something that a person might want to read.",
        "This function says something that a person might want to read.",
        "This module says something that a person might want to read.",
    ]
    orders = {library.make_python_prose(seed, small_library) for seed in range(20)}
    assert len(orders) > 5
    assert library.make_python_prose(0, small_library) == text


def test_python_stdlib_of_a_small_library(small_library: Path) -> None:
    text = library.make_python_stdlib(small_library)
    assert text.index("def (:") < text.index("x = 1 is 1") < text.index("class A")
    assert "This test" not in text
    assert "This package" not in text
    with pytest.raises(CorpusError, match="no standard library"):
        library.make_python_stdlib(small_library / "nowhere")


def test_python_stdlib_of_this_interpreter() -> None:
    text = library.make_python_stdlib()
    assert 5_000_000 < len(text) < 30_000_000
    assert "class TestCase(object):" in text or "class TestCase:" in text
    assert "\r" not in text
    assert library.python_version().split()[1].count(".") == 2


def test_an_atomic_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.txt"
    catalogue.write(target, "prima\n")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(CorpusError, match="No space left"):
        catalogue.write(target, "poi\n")
    assert target.read_text() == "prima\n"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
