"""Fresh batch-norm statistics for weights that were changed."""

from __future__ import annotations

from itertools import islice

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netsmith.calling import call, moved
from netsmith.training.batches import Data, epoch_batches


@torch.no_grad()
def recalibrate(
    model: nn.Module, data: Data, batches: int = 100, *, batch_size: int = 128, seed: int = 0
) -> nn.Module:
    """Estimate the running statistics of every batch norm anew, in place, and return the model.

    Statistics are reset and become the plain average over the batches, with all else in eval mode; weights,
    modes and momenta are as found. Worth it after a cut, a fold or averaging weights (Izmailov et al. 2018,
    arXiv:1803.05407, section 3); needless after further training.

    Args:
        model: takes the first item of a batch, or the whole batch if it is a tensor.
        data: a data set with a length, or a loader.
        batches: how many to average over; one pass over the data at most.
        batch_size: of a data set; a loader has its own.
        seed: of the order in which a data set is gone through.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    found = [(m, m.training) for m in model.modules()]
    momenta = [norm.momentum for norm in norms]
    device = next(model.parameters()).device
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for batch in islice(epoch_batches(data, batch_size, seed)[1](0), batches):
            call(model, moved(batch if torch.is_tensor(batch) else batch[0], device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in found:
            module.training = mode
    return model
