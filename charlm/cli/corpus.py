"""``charlm corpus``: list, make and download texts to train on."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from charlm.cli.options import HELP, Group, Number, either, option
from charlm.cli.terminal import echo, say, table
from charlm.errors import RequestError
from charlm.extras import how_to_install


@click.group(cls=Group, context_settings=HELP)
def command() -> None:
    """List, make or download a text to train on.

    \b
    charlm corpus list                              list available corpora
    charlm corpus make viaggi                       1 MB of Italian diary, in corpora/viaggi.txt
    charlm corpus make viaggi --chars 5000 --out -  5000 characters of it, on stdout
    charlm corpus make python-prose --seed 3        English prose, in another order
    charlm corpus get dante                         the Divina Commedia, verified by SHA-256
    charlm corpus cache list                        what is kept of texts longer than memory
    """


@command.command("list")
def list_() -> None:
    """List the corpora that can be made here or downloaded.

    \b
    charlm corpus list
    """
    from charlm.text.catalogue import CATALOGUE

    rows = [("NAME", "HOW", "SIZE", "LANGUAGE", "DESCRIPTION")]
    rows += [
        (e.name, e.kind, e.size, e.language, f"{e.description} ({e.source})") for e in CATALOGUE
    ]
    table(rows, left=5)


def _check(name: str, kind: str) -> None:
    """RequestError unless ``name`` is a corpus that ``charlm corpus KIND`` (make or get)
    provides."""
    from charlm.text.catalogue import CATALOGUE

    kinds = {entry.name: entry.kind for entry in CATALOGUE}
    if name not in kinds:
        raise RequestError(f"no corpus is called {name!r}; choose {either(kinds)}")
    if kinds[name] != kind:
        raise RequestError(
            f"charlm corpus {kind} cannot {kind} {name}; type charlm corpus {kinds[name]} {name}"
        )


def _target(name: str, out: str | None) -> Path:
    """The file to write; RequestError if it is a directory."""
    path = Path("corpora", f"{name}.txt") if out is None else Path(out)
    if path.is_dir():
        raise RequestError(f"--out {path} is a directory; give a file name")
    return path


_force = option("--force", is_flag=True, help="Replace a file that contains another text.")


@command.command()
@click.argument("name")
@option("--out", help="File to write; -: stdout [default: corpora/NAME.txt]")
@option("--chars", type=Number(int, min=1), help="Characters, for viaggi [default: 1000000]")
@option(
    "--seed",
    type=Number(int),
    help="Random seed, for viaggi and python-prose [default: 2009]",
)
@_force
def make(name: str, out: str | None, chars: int | None, seed: int | None, force: bool) -> None:
    """Make a corpus without the network: viaggi, python-prose or python-stdlib.

    \b
    charlm corpus make viaggi
    charlm corpus make viaggi --chars 200000 --seed 7 --out diario.txt
    charlm corpus make python-prose --out - | head
    """
    from charlm.text import catalogue

    _check(name, "make")
    if chars is not None and name != "viaggi":
        raise RequestError(f"--chars is only for viaggi; leave it out for {name}")
    if seed is not None and name == "python-stdlib":
        raise RequestError(f"--seed is for viaggi and python-prose; leave it out for {name}")
    seed = catalogue.DEFAULT_SEED if seed is None else seed
    if name == "viaggi":
        text = catalogue.make_viaggi(catalogue.VIAGGI_CHARS if chars is None else chars, seed)
        origin = f"seed {seed}"
    elif name == "python-prose":
        text = catalogue.make_python_prose(seed)
        origin = f"{catalogue.python_version()}, seed {seed}"
    else:
        text = catalogue.make_python_stdlib()
        origin = catalogue.python_version()
    if out == "-":
        click.echo(text.encode("utf-8"), nl=False)
        return
    path = _target(name, out)
    if path.exists():
        if path.read_bytes() == text.encode("utf-8"):
            say("the file exists already, with the same text")
            echo(str(path))
            return
        if not force:
            raise RequestError(f"{path} contains another text; give --force to replace it")
    catalogue.write(path, text)
    say(f"{len(text):,} characters, {origin}")
    echo(str(path))


@command.command(
    help=f"""Download a corpus and verify its SHA-256: shakespeare, dante or names.

    An existing file is kept if its checksum is right. Downloading needs pooch:
    {how_to_install("data")}.

    \b
    charlm corpus get shakespeare
    charlm corpus get dante --out commedia.txt
    """
)
@click.argument("name")
@option("--out", help="File to write [default: corpora/NAME.txt]")
@_force
def get(name: str, out: str | None, force: bool) -> None:
    from charlm.text import catalogue

    _check(name, "get")
    if out == "-":
        raise RequestError("charlm corpus get cannot write to stdout; give --out a file name")
    path = _target(name, out)
    fetched = catalogue.fetch(
        name, path.parent, filename=path.name, force=force, downloads=catalogue.DOWNLOADS
    )
    say("the file exists already; verified" if fetched.reused else "downloaded and verified")
    echo(str(fetched.path))


@command.group(context_settings=HELP)
def cache() -> None:
    """List or remove what is kept of long texts.

    A text of more than 64 MB is not read into memory. What charlm has found in it is kept, so that
    the next run on it starts at once: its characters as numbers, and its checksum. All of it can be
    removed at any time; the next run reads the text again. The directory is the platform's for
    caches, or CHARLM_CACHE.

    \b
    charlm corpus cache list
    charlm corpus cache clear
    """


_MEANING = {
    "ids": "characters as numbers",
    "text": "copy in UTF-8",
    "survey": "checksum and counts",
}


@cache.command("list")
def list_cache() -> None:
    """List what is kept of long texts, what was used last first.

    \b
    charlm corpus cache list
    """
    from charlm.text import cache

    found = cache.entries()
    say(f"{cache.directory()}: {len(found)} files, {sum(e.bytes for e in found) / 1e6:,.1f} MB")
    if not found:
        return
    rows = [("TEXT", "WHAT", "LAST USED", "MB", "FILE")]
    for entry in found:
        day = datetime.date.fromtimestamp(entry.used).isoformat()
        size = f"{entry.bytes / 1e6:,.1f}"
        text = str(entry.facts.get("text", "?"))
        rows.append((text, _MEANING[entry.kind], day, size, entry.path.name))
    table(rows, left=3)


@cache.command("clear")
def clear_cache() -> None:
    """Remove all that is kept of long texts.

    \b
    charlm corpus cache clear
    """
    from charlm.text import cache

    say(f"removed {cache.clear() / 1e6:,.1f} MB from {cache.directory()}")
