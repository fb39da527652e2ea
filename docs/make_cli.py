"""Write ``docs/cli.md``, the reference of every command, from what ``--help`` says.

    python docs/make_cli.py            write the page
    python docs/make_cli.py --check    exit with 1 if it is not up to date

``make docs`` does the first; a test does the second.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import click

from charlm.cli import main as charlm

PAGE = Path(__file__).resolve().parent / "cli.md"
WIDTH = 80
INTRODUCTION = """\
# The command line

<!-- Written by docs/make_cli.py. Change the help texts in charlm/cli/, then run `make docs`. -->

Every command and its options, as `--help` shows them.
"""


def commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """The section of a command, then those of its subcommands."""
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## {context.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from commands(found, each, context)


def page() -> str:
    sections = list(commands(charlm, "charlm", None))
    titles = [section.partition("\n")[0].removeprefix("## ") for section in sections]
    links = [f"[{title}](#{title.replace(' ', '-')})" for title in titles]
    return "\n".join([INTRODUCTION, " · ".join(links) + "\n", *sections])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the reference of the command line.")
    parser.add_argument("--check", action="store_true", help="only compare")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    written, now = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "", page()
    if written == now:
        return 0
    print(f"{PAGE}: not what --help says now; run make docs", file=sys.stderr)
    changed = difflib.unified_diff(written.splitlines(), now.splitlines(), "written", "now", n=0)
    print("\n".join(islice(changed, 20)), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
