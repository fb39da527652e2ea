"""Where the prompts of ``charlm sample`` come from, and whether the model can read them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.cli.terminal import say
from charlm.errors import RequestError, UnknownCharacterError

if TYPE_CHECKING:
    from charlm.text.tokenizer import Tokenizer

_NAMED = 8  # lines that a message names


@dataclass(frozen=True)
class Prompt:
    """A text to continue. line: its number in the file of ``--prompts``, from 1."""

    text: str
    line: int | None = None


def read_prompts(prompt: str | None, prompt_file: Path | None, prompts: str | None) -> list[Prompt]:
    """What the options ask for: one prompt, or with ``--prompts`` one for each line of a file.

    Raises RequestError if several of them are given, or a file cannot be read or has no lines.
    """
    given = {"--prompt": prompt, "--prompt-file": prompt_file, "--prompts": prompts}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise RequestError(f"{' and '.join(names)} each give the prompt; give one")
    if prompts is not None:
        lines = _read("--prompts", prompts).removesuffix("\n").split("\n")
        if lines == [""]:
            raise RequestError(f"--prompts {prompts}: it is empty; write one prompt on each line")
        return [Prompt(line.removesuffix("\r"), n) for n, line in enumerate(lines, start=1)]
    if prompt_file is not None or prompt == "-":
        text = _read(names[0], str(prompt_file or prompt))
        # ``echo`` and editors add the last line end, and the model would start a new line.
        return [Prompt(text.removesuffix("\n").removesuffix("\r") if text[-1:] == "\n" else text)]
    return [Prompt(prompt or "")]


def _read(option: str, file: str) -> str:
    """The text of a file; that of standard input for ``-``, except as the value of
    ``--prompt-file``, where it is the name of a file."""
    from charlm.text.reading import decode

    if file == "-" and option != "--prompt-file":
        if sys.stdin is None:
            raise RequestError(f"{option} - reads standard input, which is closed")
        return decode(sys.stdin.buffer.read(), "standard input", remedy="send UTF-8")
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"{option} {file}: cannot be read ({error.strerror})") from error
    return decode(data, file, remedy="save it as UTF-8")


def readable_prompts(
    prompts: list[Prompt], file: str | None, tokenizer: Tokenizer, on_unknown: str
) -> list[Prompt]:
    """The prompts as the model can read them (``charlm.text.unknown``); what was done to them is
    said. UnknownCharacterError names the lines of ``file``, the value of ``--prompts``, that the
    model cannot read, before any is used."""
    from charlm.text.unknown import readable

    if on_unknown == "error" and not tokenizer.forbidden and file is not None:
        _check_lines(prompts, file, tokenizer)
    found = []
    for prompt in prompts:
        name = "prompt" if prompt.line is None else f"prompt in line {prompt.line}"
        text, note = readable(tokenizer, prompt.text, on_unknown, what=f"the {name}")
        if note:
            say(f"{name}: {note}")
        found.append(Prompt(text, prompt.line))
    return found


def _check_lines(prompts: list[Prompt], file: str, tokenizer: Tokenizer) -> None:
    import numpy as np

    from charlm.text.newlines import to_unix
    from charlm.text.unknown import describe_unknown, sees_only_lf

    bad, places, text = [], [], ""
    for prompt in prompts:
        line = to_unix(prompt.text) if sees_only_lf(tokenizer) else prompt.text
        unseen = tokenizer.unseen(line)
        if len(unseen):
            bad.append(prompt.line)
        places.append(len(text) + unseen)
        text += tokenizer.normalize(line) + "\n"
    if bad:
        named = ", ".join(map(str, bad[:_NAMED]))
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        lines = f"line {named}" if len(bad) == 1 else f"lines {named}{more}"
        raise UnknownCharacterError(
            f"--prompts {file}, {lines}: {describe_unknown(text, np.concatenate(places))}; remove "
            "them or give --on-unknown skip to leave them out"
        )
