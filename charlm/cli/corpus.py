"""``charlm corpus``: list, make and get the texts to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from charlm.cli.terminal import echo
from charlm.errors import RequestError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make or get a text to train on.

    \b
    charlm corpus list                              what there is
    charlm corpus make viaggi                       1 MB of Italian diary, corpora/viaggi.txt
    charlm corpus make viaggi --chars 5000 --out -  5000 characters of it, on stdout
    charlm corpus make python-prose --seed 3        English prose, in another order
    charlm corpus get dante                         the Divina Commedia, verified by SHA-256
    """


@command.command("list")
def list_() -> None:
    """Show the corpora that can be made here or fetched.

    \b
    charlm corpus list
    """
    from charlm.text.catalogue import CATALOGUE

    rows = [("NAME", "HOW", "SIZE", "LANGUAGE", "WHAT")]
    rows += [
        (e.name, e.kind, e.size, e.language, f"{e.description} ({e.source})") for e in CATALOGUE
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[4]]).rstrip())


def _check(name: str, kind: str) -> None:
    from charlm.text.catalogue import CATALOGUE

    kinds = {entry.name: entry.kind for entry in CATALOGUE}
    if name not in kinds:
        raise RequestError(f"no corpus {name!r}: choose from {', '.join(kinds)}")
    if kinds[name] != kind:
        raise RequestError(f"{name} is not for {kind}: run charlm corpus {kinds[name]} {name}")


@command.command()
@click.argument("name")
@click.option("--out", help="File to write, or - for stdout.  [default: corpora/NAME.txt]")
@click.option("--chars", type=int, help="Characters of viaggi.  [default: 1000000]")
@click.option("--seed", type=int, help="Another seed, another text.  [default: 2009]")
@click.option("--force", is_flag=True, help="Replace a file that holds another text.")
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
        raise RequestError(f"--chars is for viaggi only: {name} has the size it has")
    if seed is not None and name == "python-stdlib":
        raise RequestError("--seed is for viaggi and python-prose: python-stdlib has one order")
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
    path = Path("corpora", f"{name}.txt") if out is None else Path(out)
    if path.is_dir():
        raise RequestError(f"{path} is a directory: give --out a file name")
    if path.exists():
        if path.read_bytes() == text.encode("utf-8"):
            click.echo("already there, the same text", err=True)
            echo(str(path))
            return
        if not force:
            raise RequestError(f"{path} exists and is another text: give --force to replace it")
    catalogue.write(path, text)
    click.echo(f"{len(text):,} characters, {origin}", err=True)
    echo(str(path))


@command.command()
@click.argument("name")
@click.option("--out", help="File to write.  [default: corpora/NAME.txt]")
@click.option("--force", is_flag=True, help="Replace a file that holds another text.")
def get(name: str, out: str | None, force: bool) -> None:
    """Download a corpus and verify its SHA-256: shakespeare, dante or names.

    A file that is there already and is the right one is kept. Needs pip install "charlm[data]".

    \b
    charlm corpus get shakespeare
    charlm corpus get dante --out commedia.txt
    """
    from charlm.text import catalogue

    _check(name, "get")
    if out == "-":
        raise RequestError("get writes a file: give --out a file name, then read that")
    path = Path("corpora", f"{name}.txt") if out is None else Path(out)
    if path.is_dir():
        raise RequestError(f"{path} is a directory: give --out a file name")
    fetched = catalogue.fetch(
        name, path.parent, filename=path.name, force=force, downloads=catalogue.DOWNLOADS
    )
    click.echo("already there, verified" if fetched.reused else "downloaded, verified", err=True)
    echo(str(fetched.path))
