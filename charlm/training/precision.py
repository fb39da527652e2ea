"""Choose between bfloat16 and float32 by what the processor computes fast.

bfloat16 has the exponent of float32 and 8 bits of significand. A processor with instructions for it
(AVX512-BF16, AMX) multiplies several times as fast; on others bfloat16 is emulated, far slower than
float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capable = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(capable)


def choose_precision(name: str, device: torch.device) -> str:
    """``auto`` is bfloat16 if the device multiplies it natively, otherwise float32."""
    if name != "auto":
        return name
    return "bfloat16" if has_bfloat16(device) else "float32"


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device, *, cached: bool = True) -> Iterator[None]:
    """Compute in ``precision``; the weights themselves stay in float32 (autocast).

    cached: keep the converted weights until the outermost of these contexts ends. Threads share
    that memory, so they leave it off.
    """
    if precision == "float32":
        yield
        return
    # oneDNN has no bfloat16 LSTM for a processor without AVX-512 and raises an exception. A run
    # that was started elsewhere must continue here too, so oneDNN is turned off on such a
    # processor.
    mkldnn = torch.backends.mkldnn
    before = mkldnn.enabled
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        mkldnn.set_flags(_enabled=False)
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=cached):
            yield
    finally:
        mkldnn.set_flags(_enabled=before)
