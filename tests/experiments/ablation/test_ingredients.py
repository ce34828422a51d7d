"""The ingredients lead from the coursework's recipe to ours, one change at a time, none left out."""

from maskmend.experiments.ablation.ingredients import CHANGES, cumulative
from maskmend.importers.coursework.published import COURSEWORK_DECODING, COURSEWORK_MODEL, COURSEWORK_TRAINING
from maskmend.models.transformer import small_config
from maskmend.settings import Settings
from maskmend.training.stage_config import TransformerTraining


def test_the_first_row_is_the_courseworks_recipe() -> None:
    first = cumulative()[0]
    assert (first.model, first.training, first.settings) == (
        COURSEWORK_MODEL,
        COURSEWORK_TRAINING,
        COURSEWORK_DECODING,
    )
    assert not first.averaged
    assert not first.composited


def test_the_highest_rung_is_ours() -> None:
    """Would catch an ingredient of ours that no ingredient adds."""
    last, ours = cumulative()[-1], small_config()
    assert {name: getattr(ours, name) for name in last.model} == last.model
    assert last.averaged
    assert last.composited
    assert Settings(**last.settings) == Settings(temperature=0.6)
    trained = TransformerTraining(tokenizer="", **last.training)
    assert (trained.loss_on, trained.infill, trained.bernoulli) == ("masked", "diffusion", 0)


def test_each_rung_keeps_what_is_below_it() -> None:
    ingredients = cumulative()
    assert len(ingredients) == len(CHANGES) + 1
    for below, ingredient, change in zip(ingredients, ingredients[1:], CHANGES, strict=False):
        assert ingredient.model == below.model | change.model
        assert ingredient.training == below.training | change.training
        assert ingredient.settings == below.settings | change.settings
        changed = (
            ingredient.model,
            ingredient.training,
            ingredient.settings,
            ingredient.averaged,
            ingredient.composited,
        )
        assert changed != (below.model, below.training, below.settings, below.averaged, below.composited)


def test_every_ingredient_is_named_once() -> None:
    names = [ingredient.name for ingredient in cumulative()]
    assert len(set(names)) == len(names)
    wanted = {"mask family", "loss on masked", "hole filling", "log-probability confidence"}
    wanted |= {"less noise", "order: Halton", "attention pattern", "EMA", "label smoothing", "compositing"}
    assert wanted <= set(names)
