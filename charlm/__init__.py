"""charlm: train, use and inspect character-level language models of your own text.

A text file goes in, a small recurrent model of its characters comes out. ``charlm.load`` opens a
trained model without importing torch; docs/architecture.md describes the modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "CharLM",
    "CharlmError",
    "ModelConfig",
    "SampleConfig",
    "TrainConfig",
    "load",
    "load_classifier",
    "load_rewriter",
    "load_tagger",
]

_HOMES = {
    "CharLM": "charlm.generate",
    "CharlmError": "charlm.errors",
    "ModelConfig": "charlm.config",
    "SampleConfig": "charlm.config",
    "TrainConfig": "charlm.config",
    "load": "charlm.runs",
    "load_classifier": "charlm.tasks.loading",
    "load_rewriter": "charlm.tasks.loading",
    "load_tagger": "charlm.tasks.loading",
}

if TYPE_CHECKING:
    from charlm.config import ModelConfig, SampleConfig, TrainConfig
    from charlm.errors import CharlmError
    from charlm.generate import CharLM
    from charlm.runs import load
    from charlm.tasks.loading import load_classifier, load_rewriter, load_tagger


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: ``import charlm`` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The names that ``help(charlm)`` and tab completion show, imported already or not."""
    return sorted({*globals(), *__all__})
