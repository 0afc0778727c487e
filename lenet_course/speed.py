"""Settings that make training fast on a CPU; each stands here with what it brings.

Importing this module makes the settings. `lenet_helpers` imports it before torch, which reads them
when it is loaded.
"""

import ctypes
import os
from contextlib import suppress

# OpenMP's threads wait for each other after every layer. If they spin meanwhile, two trainings on
# two cores take up to 20 times as long each; asleep at once, one alone takes a fifth longer. A
# short spin: two at once take 2.6 times as long each, one alone 10 % less than with threads asleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# A training step frees large blocks and soon asks for them again. glibc would hand them back to the
# system in between, which costs up to a third of an epoch.
with suppress(AttributeError, TypeError, OSError):  # where there is no glibc
    libc, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = ctypes.CDLL(None), -1, -3  # as in malloc.h
    libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(M_TRIM_THRESHOLD, 256 << 20)

import torch
from torch import nn


def fastest_layout(net: nn.Module) -> torch.memory_format:
    """The order of `net`'s values in memory in which a CPU trains it fastest.

    Channels last saves LeNet a sixth of an epoch, but batch normalisation takes three times as long
    in it. The results are the same, apart from rounding.
    """
    slow = any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
    return torch.contiguous_format if slow else torch.channels_last


def try_device() -> torch.device:
    """The device to train on: $LENET_DEVICE, or the accelerator that is there, or the CPU.

    d2l's `try_gpu`, with Apple's MPS. An accelerator that is there but cannot be used (full, or its
    driver too old) is mentioned in a line, and the CPU takes its place.
    """
    device = os.environ.get("LENET_DEVICE") or torch.accelerator.current_accelerator(True) or "cpu"
    try:
        torch.empty(2**28, dtype=torch.uint8, device=device)  # 256 MB: what training takes
    except RuntimeError as error:
        print(f"training on the CPU, {device} cannot be used: {str(error).splitlines()[0]}")
        device = "cpu"
    return torch.device(device)
