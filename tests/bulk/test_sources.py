"""Where pictures come from: keys, masks, shards, and what a stranger's archive may do."""

import pickle

import pytest

from bulk_parts import made, shard_bytes, tar_bytes, write_folder
from maskmend.bulk.entries import Shard, cut_chunks, seed_of
from maskmend.bulk.sources import open_source
from maskmend.errors import ConfigError, DataError


def entries(source):
    return [entry for part in source.parts() for entry in source.entries(part)]


def test_a_folder_goes_with_its_masks(tmp_path):
    """Catches another picture's mask, and results that are read as pictures."""
    photos, masks = write_folder(tmp_path, made(3) | {"deep/x": made(1)["p000"]})
    (photos / "lone.jpg").write_bytes(b"")
    (photos / "p000.bmp").write_bytes(b"")
    out = photos / "out"
    out.mkdir()
    (out / "p000.png").write_bytes(b"")
    found = {entry.key: entry for entry in entries(open_source(photos, masks=masks, target=out))}
    assert list(found) == ["lone", "p000", "p000.png", "p001", "p002", "deep/x"]
    assert found["deep/x"].mask.place == f"{masks}/deep/x.png"
    assert found["lone"].trouble == f"no mask of that name in {masks}"
    assert "another picture is called 'p000'" in found["p000.png"].trouble
    assert [found[key].trouble for key in ("p000", "p001", "deep/x")] == [None] * 3


def test_masks_may_lie_beside_the_pictures(tmp_path):
    """Catches masks that are filled as if they were pictures."""
    for key, (image, mask) in made(2).items():
        (tmp_path / f"{key}.png").write_bytes(image)
        (tmp_path / f"{key}.mask.png").write_bytes(mask)
    found = entries(open_source(tmp_path))
    assert [(one.key, one.mask.place.rsplit("/", 1)[-1]) for one in found] == [
        ("p000", "p000.mask.png"),
        ("p001", "p001.mask.png"),
    ]


def test_tar_shards_are_read_by_byte_range(tmp_path):
    """Catches a member's neighbour in its place."""
    pictures = made(4)
    for number in range(2):
        own = dict(list(pictures.items())[2 * number : 2 * number + 2])
        (tmp_path / f"shard-{number}.tar").write_bytes(shard_bytes(own))
    found = entries(open_source(tmp_path))
    assert [one.name for one in found] == [f"shard-{n // 2}/p{n:03d}" for n in range(4)]
    for one in pickle.loads(pickle.dumps(found)):  # as they travel to workers
        assert (one.image.read(), one.mask.read()) == pictures[one.key]
        assert one.metadata.read() == b'{"title": "a"}'
    alone = entries(open_source(tmp_path / "shard-1.tar"))
    assert [one.name for one in alone] == ["p002", "p003"]


def test_masks_of_tar_shards_may_be_shards_of_the_same_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    image, mask = made(1)["p000"]
    (tmp_path / "a" / "0.tar").write_bytes(tar_bytes({"k.png": image}))
    (tmp_path / "b" / "0.tar").write_bytes(tar_bytes({"k.png": mask}))
    (one,) = entries(open_source(tmp_path / "a", masks=tmp_path / "b"))
    assert (one.image.read(), one.mask.read()) == (image, mask)


@pytest.mark.parametrize("key", ["../up", "/root", "a/../../b", "_maskmend/run", "a\\..\\b"])
def test_a_member_cannot_leave_the_target(tmp_path, key):
    """Catches an archive that writes beside the output folder."""
    image, mask = made(1)["p000"]
    (tmp_path / "x.tar").write_bytes(tar_bytes({f"{key}.png": image, f"{key}.mask.png": mask}))
    found = entries(open_source(tmp_path / "x.tar"))
    assert all("is no name for a file" in one.trouble for one in found)


def test_a_damaged_shard_is_one_failure(tmp_path):
    """Catches a run of many shards that one of them ends."""
    (tmp_path / "bad.tar").write_bytes(b"no tar file at all" * 100)
    (tmp_path / "good.tar").write_bytes(shard_bytes(made(1)))
    bad, good = entries(open_source(tmp_path))
    assert "uncompressed tar file" in bad.trouble
    assert good.trouble is None


def test_keys_that_occur_twice_and_several_pictures_of_one_key_are_told(tmp_path):
    image, mask = made(1)["p000"]
    (tmp_path / "x.tar").write_bytes(tar_bytes({"k.png": image, "k.jpg": image, "k.mask.png": mask}))
    (one,) = entries(open_source(tmp_path / "x.tar"))
    assert one.trouble == "2 pictures of the key 'k': there should be one"


@pytest.mark.parametrize("column", ["bytes", "struct", "path"])
def test_parquet_holds_bytes_or_paths(tmp_path, column):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    pictures = made(5)
    write_folder(tmp_path, pictures)
    values = {
        "bytes": list(pictures.values()),
        "struct": [tuple({"bytes": b, "path": None} for b in pair) for pair in pictures.values()],
        "path": [(f"photos/{key}.png", str(tmp_path / "masks" / f"{key}.png")) for key in pictures],
    }[column]
    rows = {"key": list(pictures), "image": [a for a, _ in values], "mask": [b for _, b in values]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "x.parquet", row_group_size=2)
    found = entries(open_source(tmp_path / "x.parquet"))
    assert [one.key for one in found] == list(pictures)
    assert [(one.image.read(), one.mask.read()) for one in found] == list(pictures.values())


def test_what_cannot_be_a_source_is_told(tmp_path):
    photos, masks = write_folder(tmp_path, made(1))
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "0.tar").write_bytes(shard_bytes(made(1)))
    with pytest.raises(DataError, match=r"nothing at .*none: give a folder"):
        open_source(tmp_path / "none")
    with pytest.raises(DataError, match="no file at"):
        open_source(tmp_path / "none.tar")
    with pytest.raises(ConfigError, match=r"--masks .* is of tar shards and --input .* a folder of pictures"):
        open_source(photos, masks=tmp_path / "tars")
    with pytest.raises(ConfigError, match="one of the folders read"):
        open_source(photos, masks=masks, target=photos)
    with pytest.raises(ConfigError, match="files results could replace"):
        open_source(photos, masks=masks, target=tmp_path)
    with pytest.raises(DataError, match=r"no mask at .*: give a picture file"):
        open_source(photos, mask=tmp_path / "none.png")
    with pytest.raises(ConfigError, match=r"--masks and --mask \(one for all pictures\) exclude each other"):
        open_source(photos, masks=masks, mask=masks / "p000.png")


def test_an_added_picture_changes_one_chunk(tmp_path):
    """Catches an archive of millions that is filled anew for one picture at its front."""
    photos, masks = write_folder(tmp_path, made(60))
    source = open_source(photos, masks=masks)
    before = {c.name: c for c in cut_chunks("", source.entries(""), 4)}
    assert 8 < len(before) < 30
    for folder in (photos, masks):
        (folder / "a-first-one.png").write_bytes(b"")
    after = {c.name: c for c in cut_chunks("", source.entries(""), 4)}
    assert sum(before.get(name) != chunk for name, chunk in after.items()) <= 2


@pytest.mark.parametrize("parts", [1, 6])
def test_shards_share_all_chunks_out(tmp_path, parts):
    """Catches pictures that no job fills, or two."""
    for number in range(parts):
        (tmp_path / f"{number}.tar").write_bytes(shard_bytes(made(12)))
    source = open_source(tmp_path)
    shares = [
        {chunk.name for chunk in source.chunks(shard=Shard(index=i, count=4), size=2)} for i in range(4)
    ]
    whole = [chunk.name for chunk in source.chunks(shard=Shard(), size=2)]
    assert sorted(name for share in shares for name in share) == sorted(whole)
    assert len(set(whole)) == len(whole)
    assert all(shares)


@pytest.mark.parametrize("text", ["4/4", "1", "-1/4", "0/0", "a/b"])
def test_a_shard_that_there_is_not_is_told(text):
    with pytest.raises(ConfigError, match="give I/N with I from 0 to N - 1"):
        Shard.parse(text)


def test_seeds_are_those_of_the_key_and_the_run():
    """Catches a change of the seeds of pictures that were filled before."""
    assert seed_of("a/b", 0) == 2377134991561246145
    assert len({seed_of(key, seed) for key in ("a", "b") for seed in (0, 1)}) == 4


def test_a_url_that_cannot_be_opened_names_the_extra():
    with pytest.raises(ConfigError, match=r"nothing://x.*give a path, or s3://"):
        open_source("nothing://x")


def test_a_source_and_target_in_object_storage(tmp_path):
    """Catches paths that are taken for those of this machine."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    photos, masks = write_folder(tmp_path, made(2) | {"deep/x": made(1)["p000"]})
    memory.put(str(photos), "/bucket/photos", recursive=True)
    memory.put(str(masks), "/bucket/masks", recursive=True)
    remote = entries(open_source("memory://bucket/photos", masks="memory://bucket/masks"))
    here = entries(open_source(photos, masks=masks))
    assert [one.name for one in remote] == [one.name for one in here]
    assert [one.image.read() for one in remote] == [one.image.read() for one in here]
    memory.pipe("/bucket/x.tar", shard_bytes(made(2)))
    assert [one.mask.read() for one in entries(open_source("memory://bucket/x.tar"))] == [
        mask for _, mask in made(2).values()
    ]
