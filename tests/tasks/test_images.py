from __future__ import annotations

import torch

from netsmith.tasks.images import to_dataset


def test_standardises_each_channel() -> None:
    images = torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 2, 1, 2)
    data = to_dataset(images, torch.tensor([3], dtype=torch.uint8), mean=(0.5, 0.1), std=(0.25, 0.5))
    pixels, target = data[0]
    expected = torch.tensor([[-2.0, -1.2], [0.6, 1.8]]).view(2, 1, 2)
    torch.testing.assert_close(pixels, expected)
    assert target.dtype == torch.int64
    assert target == 3


def test_subset_keeps_images_with_their_labels_and_the_input_untouched() -> None:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    before = images.clone()
    data = to_dataset(images, torch.tensor([0, 0, 0, 1, 1, 1]), mean=(0.0,), std=(1.0,), size=4)
    pixels, targets = data.tensors
    assert (pixels.flatten() * 255).round().tolist() == [0, 1, 3, 4]
    assert targets.tolist() == [0, 0, 1, 1]
    assert torch.equal(images, before)
