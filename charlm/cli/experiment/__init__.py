"""``charlm experiment``: train several kinds of networks on one question and compare them; one
module per experiment."""

from __future__ import annotations

import click

from charlm.cli.experiment import page, position_invariance
from charlm.cli.options import HELP, Group


@click.group(cls=Group, context_settings=HELP)
def command() -> None:
    """Test what several kinds of networks can and cannot do.

    \b
    charlm experiment position-invariance --quick     find a year, wherever it is in the sentence
    charlm experiment page --quick                    find a year, wherever it is on the page
    """


command.add_command(position_invariance.command)
command.add_command(page.command)
