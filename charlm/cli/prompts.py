"""Where the prompts of ``charlm sample`` come from."""

from __future__ import annotations

import sys
from pathlib import Path

from charlm.errors import RequestError


def read_prompt(prompt: str | None, prompt_file: Path | None) -> str:
    """The text of the prompt. A line end at the end of a file or of standard input is removed:
    ``echo`` and editors add it, and the model would start a new line."""
    if prompt is not None and prompt_file is not None:
        raise RequestError("--prompt and --prompt-file both give the prompt; give one")
    if prompt != "-" and prompt_file is None:
        return prompt or ""
    from charlm.text.reading import decode

    if prompt_file is not None:
        try:
            data = prompt_file.read_bytes()
        except OSError as error:
            raise RequestError(
                f"--prompt-file {prompt_file}: cannot be read ({error.strerror})"
            ) from error
        text = decode(data, str(prompt_file), remedy="save it as UTF-8")
    else:
        if sys.stdin is None:
            raise RequestError("--prompt - reads standard input, which is closed")
        text = decode(sys.stdin.buffer.read(), "standard input", remedy="send UTF-8")
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
