from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from netsmith.tasks.augment import CropFlip


def candidates(image: Tensor, padding: int, fill: float) -> dict[tuple[int, int, bool], Tensor]:
    """Every crop of the padded image, plain and mirrored, one by one."""
    _, height, width = image.shape
    padded = F.pad(image, (padding,) * 4, value=fill)
    found = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + height, left : left + width]
            found[top, left, False] = crop
            found[top, left, True] = crop.flip(-1)
    return found


def test_every_image_is_one_of_its_crops_and_all_crops_occur() -> None:
    image = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    batch = image.expand(400, -1, -1, -1)
    result = CropFlip(padding=1, fill=-3.0)(batch, torch.Generator().manual_seed(1))
    matched = set()
    for row in result:
        keys = [key for key, crop in candidates(image, 1, -3.0).items() if torch.equal(crop, row)]
        assert len(keys) == 1
        matched.update(keys)
    assert len(matched) == 2 * 3 * 3


def test_different_images_stay_in_their_rows() -> None:
    batch = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 4, 4)
    result = CropFlip(padding=0)(batch, torch.Generator().manual_seed(0))
    assert torch.equal(result, batch)


def test_without_flip_nothing_is_mirrored() -> None:
    batch = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CropFlip(padding=0, flip=False)(batch, torch.Generator()), batch)


def test_same_generator_same_batch_and_nothing_else_is_touched() -> None:
    batch = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before, state = batch.clone(), torch.random.get_rng_state()
    crop = CropFlip(padding=2)
    first = crop(batch, torch.Generator().manual_seed(7))
    assert torch.equal(first, crop(batch, torch.Generator().manual_seed(7)))
    assert not torch.equal(first, crop(batch, torch.Generator().manual_seed(8)))
    assert torch.equal(batch, before)
    assert torch.equal(torch.random.get_rng_state(), state)
