"""The device that training runs on."""

from __future__ import annotations

import torch

from charlm import launch
from charlm.errors import RequestError


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA if available, otherwise the CPU. RequestError if there is no such device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and launch.size() > 1:
        name = f"cuda:{launch.local_rank()}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = str(error).splitlines()[0].partition(". ")[0][:100]
        raise RequestError(
            f"--device {name} cannot be used here ({cause}); give cpu or auto"
        ) from error
    return device
