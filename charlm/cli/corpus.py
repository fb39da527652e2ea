"""``charlm corpus``: list, make and download texts and labelled lines to train on."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charlm.cli.options import HELP, Group, Number, either, option
from charlm.cli.terminal import echo, say, table
from charlm.errors import RequestError
from charlm.extras import how_to_install

if TYPE_CHECKING:
    from charlm.text.catalogue import Entry


@click.group(cls=Group, context_settings=HELP)
def command() -> None:
    """List, make or download a corpus to train on.

    \b
    charlm corpus list                              list available corpora
    charlm corpus make viaggi                       1 MB of Italian diary, in corpora/viaggi.txt
    charlm corpus make viaggi --chars 5000 --out -  5000 characters of it, on stdout
    charlm corpus make python-prose --seed 3        English prose, in another order
    charlm corpus make dates                        labelled lines, in corpora/dates.tsv
    charlm corpus get dante                         the Divina Commedia, verified by SHA-256
    charlm corpus cache list                        what is kept of texts longer than memory
    """


@command.command("list")
def list_() -> None:
    """List the corpora that can be made here or downloaded.

    TASK is "text" for a plain text. The others are lines "text<TAB>label": classify (the label is a
    class), tag (a tag for each character) and rewrite (the label is another text).

    \b
    charlm corpus list
    """
    from charlm.text.catalogue import CATALOGUE

    rows = [("NAME", "HOW", "TASK", "SIZE", "LANGUAGE", "DESCRIPTION")]
    rows += [
        (e.name, e.kind, e.task, e.size, e.language, f"{e.description} ({e.source})")
        for e in CATALOGUE
    ]
    table(rows, left=6)


def _entry(name: str, kind: str) -> Entry:
    """The entry of ``name``; RequestError unless ``charlm corpus KIND`` (make or get) provides
    it."""
    from charlm.text.catalogue import CATALOGUE

    entries = {entry.name: entry for entry in CATALOGUE}
    if name not in entries:
        raise RequestError(f"no corpus is called {name!r}; choose {either(entries)}")
    if entries[name].kind != kind:
        raise RequestError(
            f"charlm corpus {kind} cannot {kind} {name}; "
            f"type charlm corpus {entries[name].kind} {name}"
        )
    return entries[name]


def _check_options(entry: Entry, given: Mapping[str, int]) -> None:
    """RequestError for an option of ``make`` that this corpus does not take."""
    from charlm.text.catalogue import CATALOGUE

    for option_name in given:
        if option_name not in entry.options:
            takers = [each.name for each in CATALOGUE if option_name in each.options]
            only = " and ".join(filter(None, (", ".join(takers[:-1]), takers[-1])))
            raise RequestError(f"--{option_name} is only for {only}; leave it out for {entry.name}")


def _target(entry: Entry, out: str | None) -> Path:
    """The file to write; RequestError if it is a directory."""
    path = Path("corpora", entry.filename) if out is None else Path(out)
    if path.is_dir():
        raise RequestError(f"--out {path} is a directory; give a file name")
    return path


_force = option("--force", is_flag=True, help="Replace a file that contains another text.")


@command.command(
    help=f"""Make a corpus without the network.

    Plain texts: viaggi, python-prose, python-stdlib. Lines "text<TAB>label": dates, numbers, digits
    and imperfetto to rewrite; accents, capitals, spaces and person to tag; surnames and first-names
    to classify. The last two need faker:
    {how_to_install("data")}.

    \b
    charlm corpus make viaggi
    charlm corpus make viaggi --chars 200000 --seed 7 --out diario.txt
    charlm corpus make python-prose --out - | head
    charlm corpus make dates --lines 5000
    charlm corpus make surnames --out names.tsv
    """
)
@click.argument("name")
@option("--out", help="File to write; -: stdout [default: corpora/NAME.txt or NAME.tsv]")
@option("--chars", type=Number(int, min=1), help="Characters, for viaggi [default: 1000000]")
@option(
    "--lines",
    type=Number(int, min=1),
    help="Lines, for what is drawn line by line, as dates [default: 20000]",
)
@option(
    "--seed", type=Number(int), help="Random seed, for what is drawn or shuffled [default: 2009]"
)
@_force
def make(name: str, out: str | None, force: bool, **options: int | None) -> None:
    from charlm.text import catalogue

    entry = _entry(name, "make")
    given = {key: value for key, value in options.items() if value is not None}
    _check_options(entry, given)
    arguments = {"chars": "num_chars", "lines": "num_lines", "seed": "seed"}
    made = catalogue.make(name, **{arguments[key]: value for key, value in given.items()})
    text = made.text
    if out == "-":
        click.echo(text.encode("utf-8"), nl=False)
        return
    path = _target(entry, out)
    if path.exists():
        if path.read_bytes() == text.encode("utf-8"):
            say("the file exists already, with the same text")
            echo(str(path))
            return
        if not force:
            raise RequestError(f"{path} contains another text; give --force to replace it")
    catalogue.write(path, text)
    say(f"{made.size}, {made.origin}")
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
    from charlm.text import downloads

    entry = _entry(name, "get")
    if out == "-":
        raise RequestError("charlm corpus get cannot write to stdout; give --out a file name")
    path = _target(entry, out)
    fetched = downloads.fetch(
        name, path.parent, filename=path.name, force=force, downloads=downloads.DOWNLOADS
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
