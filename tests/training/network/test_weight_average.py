"""The running average of weights against its definition."""

import torch

from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.weight_average import WeightAverage


def test_the_average_follows_its_definition(tiny_recipe: TrainingRecipe) -> None:
    torch.manual_seed(0)
    model = UNet(tiny_recipe.network)
    average = WeightAverage(model, 0.5)
    expected = model.final.weight.detach().clone()
    for step in range(4):
        with torch.no_grad():
            model.final.weight += step + 1.0
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.final.weight.detach()
        average.update(model)
    torch.testing.assert_close(average.model.final.weight, expected)
    again = WeightAverage(UNet(tiny_recipe.network), 0.5)
    again.load_state_dict(average.state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.model.state_dict().values(), average.model.state_dict().values(), strict=True)
    )
