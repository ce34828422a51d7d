"""Token shards: the tokens that training would encode itself, once and for all."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from maskmend.cli import main
from maskmend.errors import ConfigError
from maskmend.pretrained.component import load_tokenizer
from maskmend.training.batches import Batches, to_float
from maskmend.training.dataset import ImageSet, crop
from maskmend.training.run import build_stage, run
from maskmend.training.shards import pictures
from maskmend.training.shards.cache import PictureCache
from maskmend.training.shards.index import NAME, make_index, write_index
from maskmend.training.shards.sources import open_pictures
from maskmend.training.shards.tokens import TokenBatch, TokenSet

SIZE = 16
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokens(photos: Path, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Token shards of the training pictures, two of them."""
    folder = tmp_path_factory.mktemp("tokens") / "set"
    command = ["data", "tokenize", str(photos / "train"), "--tokenizer", str(tokenizer_folder)]
    result = CliRunner().invoke(
        main, [*command, "-o", str(folder), "--shard-size", "4", "--batch", "3", "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    assert "6 squares encoded" in result.output
    assert [path.name for path in sorted(folder.glob("*.tar"))] == ["tokens-00000.tar", "tokens-00001.tar"]
    again = CliRunner().invoke(main, [*command, "-o", str(folder)])
    assert again.exit_code == 2
    assert "already holds a data set" in again.output
    return folder


def opened(folder: Path) -> TokenSet:
    images = open_pictures(str(folder), SIZE, with_tokens=True)
    assert isinstance(images, TokenSet)
    return images


def test_tokens_are_those_of_the_picture_and_its_mirror_image(
    tokens: Path, photos: Path, tokenizer_folder: Path
) -> None:
    """Would catch tokens of another picture, mirrored tokens instead of tokens of the mirror image, and
    pixels that went through a lossy format."""
    images, originals = opened(tokens), ImageSet(photos / "train", SIZE)
    tokenizer = load_tokenizer(tokenizer_folder)
    for number in range(6):
        square = crop(originals[number], SIZE, None)
        assert np.array_equal(images[number], square)
        for flip in (False, True):
            shown = to_float([np.ascontiguousarray(square[:, ::-1] if flip else square)])
            given = images.batch([number], [flip], pictures=True)
            assert given.images is not None
            assert torch.equal(given.images, shown)
            with torch.no_grad():
                assert torch.equal(given.tokens, tokenizer.encode(shown).flatten(1))


def test_examples_from_tokens_are_those_from_pictures(tokens: Path, make_recipe) -> None:
    """Would catch holes or hints made of other pictures than those of the tokens."""
    stage = build_stage(make_recipe("transformer", model={"hints": True}), CPU)
    given = opened(tokens).batch([3, 1, 4, 5], [True, False, True, False], pictures=True)
    assert given.images is not None
    masks = stage._masks(np.random.default_rng(0), 4)  # type: ignore[attr-defined]
    one = stage.examples(given, masks, np.random.default_rng(1))  # type: ignore[attr-defined]
    other = stage.examples(given.images, masks, np.random.default_rng(1))  # type: ignore[attr-defined]
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert torch.equal(one[2].tokens, other[2].tokens)


def test_pictures_are_left_out_where_no_hole_is_encoded(tokens: Path, make_recipe) -> None:
    """Would catch decoding pictures that nobody looks at, and leaving out those that are needed."""
    hidden = {"scheduled": 1.0, "boxes": 0.0, "strokes": 0.0, "random_walk": 0.0}
    for options, model, needed in (
        (hidden, {"hints": False}, False),
        (hidden | {"boxes": 0.1}, {"hints": False}, True),
        (hidden, {"hints": True}, True),
    ):
        stage = build_stage(make_recipe("transformer", transformer=options, model=model), CPU)
        assert stage.needs_pictures is needed  # type: ignore[attr-defined]


@pytest.mark.parametrize("hole", [0.0, 1.0])
def test_a_run_on_tokens_resumes_to_the_bit(hole: float, tokens: Path, tmp_path: Path, make_recipe) -> None:
    """Would catch flips or an order that depend on where a run began."""
    options = {"scheduled": 1.0, "boxes": hole, "strokes": 0.0, "random_walk": 0.0}
    weights = []
    for name, legs in (("whole", (6,)), ("stopped", (3, 6))):
        for steps in legs:
            training = {"steps": steps, "warmup": 0, "final_lr": 1.0, "validate_every": 3}
            data = {"train": str(tokens), "workers": len(legs) - 1}
            tables = {"data": data, "transformer": options, "training": training}
            recipe = make_recipe("transformer", model={"hints": bool(hole)}, **tables)
            assert run(recipe, tmp_path / name).finished
        weights.append(torch.load(tmp_path / name / "last.pt", weights_only=True)["stage"]["model"])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_shares_of_processes_are_parts_of_one_batch(tokens: Path, make_recipe) -> None:
    """Would catch flips that depend on the number of processes."""
    recipe = make_recipe("transformer", data={"train": str(tokens)}, training={"accumulate": 2})

    def share(rank: int, world: int) -> list[TokenBatch]:
        with Batches(opened(tokens), recipe, SIZE, rank, world) as batches:
            return batches.take(1)

    whole = share(0, 1)
    for rank in range(2):
        for part, own in zip(whole, share(rank, 2), strict=True):
            assert torch.equal(own.tokens, part.tokens[rank::2])


def test_a_damaged_picture_is_told_once_and_none_is_kept(
    photos: Path, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Would catch a line that comes twice, and memory taken for pictures that are read once."""
    for path in (photos / "train").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0.png").write_bytes(b"no picture")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for path in sorted(tmp_path.glob("*.png")):
            archive.add(path, path.name)
    write_index(make_index(str(tmp_path / "set.tar")), str(tmp_path / "index"))
    capacities: list[int] = []

    def cache(count: int, capacity: int, shares: int) -> PictureCache:
        capacities.append(capacity)
        return PictureCache(count, capacity, shares)

    monkeypatch.setattr(pictures, "PictureCache", cache)
    for number, source in enumerate((tmp_path, tmp_path / "index" / NAME)):
        command = ["data", "tokenize", str(source), "--tokenizer", str(tokenizer_folder), "--device", "cpu"]
        result = CliRunner().invoke(main, [*command, "-o", str(tmp_path / f"tokens-{number}")])
        assert result.exit_code == 0, result.output
        assert result.output.count("skipped 0.png") == 1
    assert capacities == [0]


def test_settings_that_token_shards_leave_without_use_are_told(
    tokens: Path, tmp_path: Path, make_recipe
) -> None:
    """Would catch a recipe whose crops and colours are left out in silence."""
    said: list[str] = []
    for data in ({"crop_scale": 0.5, "colour": 0.1}, {}):
        recipe = make_recipe(
            "transformer", data=data | {"train": str(tokens)}, training={"steps": 1, "validate_every": 1}
        )
        run(recipe, tmp_path / str(len(data)), log=said.append)
    told = [line for line in said if "changes no training picture" in line]
    assert len(told) == 1
    assert "data.crop_scale = 0.5, data.colour = 0.1 changes" in told[0]


def test_tokens_of_another_tokenizer_are_refused(tokens: Path, tmp_path: Path, make_recipe) -> None:
    """Would catch a transformer that learns the codes of one tokenizer and fills with another."""
    head = (tokens / NAME).read_text()
    own = opened(tokens).index.tokens
    assert own is not None
    for name in tokens.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / NAME).write_text(head.replace(own["tokenizer"], "0" * 64))
    recipe = make_recipe("transformer", data={"train": str(tmp_path)})
    with pytest.raises(ConfigError, match="another tokenizer"):
        run(recipe, tmp_path / "run")
    # A tokenizer may train on the pictures of token shards.
    assert run(make_recipe("tokenizer", data={"train": str(tokens)}, training={"steps": 1}), tmp_path / "t")


def test_several_squares_of_a_picture(photos: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    """Would catch one crop encoded several times, and crops that are not the seed's."""
    found = []
    for name in ("a", "b"):
        command = ["data", "tokenize", str(photos / "train"), "--tokenizer", str(tokenizer_folder)]
        command += ["--crops", "2", "--crop-scale", "0.5", "--side", "32", "--device", "cpu"]
        result = CliRunner().invoke(main, [*command, "-o", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        found.append(list(opened(tmp_path / name)))
    assert len(found[0]) == 12
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))
    assert not np.array_equal(found[0][0], found[0][1])
