"""Recurrent layers in an export: as a loop over time, so that its length may vary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def loops_over_time() -> Iterator[None]:
    """Let exports keep the time steps of GRU and LSTM as a loop; else they are written out one by one.

    PyTorch has had such a form since 2.10; before it lengths stay fixed. Which form an operator took is
    cached by the operator, so that is dropped on the way in and out.
    """
    recurrent = (torch.ops.aten.gru.input, torch.ops.aten.lstm.input)

    def forget() -> None:
        for operator in recurrent:
            operator._dispatch_cache.clear()

    with ExitStack() as stack:
        stack.callback(forget)
        try:
            from torch.export import _patches as forms

            stack.enter_context(forms.register_gru_while_loop_decomposition())
            stack.enter_context(forms.register_lstm_while_loop_decomposition())
        except (ImportError, AttributeError):
            pass
        forget()
        yield
