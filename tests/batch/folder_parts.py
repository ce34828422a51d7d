"""Folders of pictures and masks, and runs over them."""

from PIL import ImageCms

from fakes import box_mask, smooth_pixels
from maskmend.batch.folder import fill_folder, plan_folder
from maskmend.batch.manifest import NAME as SETTINGS

HEIGHT, WIDTH = 20, 34
PIXELS = smooth_pixels(HEIGHT, WIDTH)
MASK = box_mask(HEIGHT, WIDTH, 5, 6, 14, 19)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GOOD = ("a.png", "deep/b.jpg", "c.webp", "d.tif", "e.bmp")


def names(folder):
    """All files of `folder` but the one that says how they were made."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SETTINGS)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def run(pipe, folders, **options):
    photos, masks, out = folders
    planning = {name: options.pop(name) for name in ("samples", "suffix") if name in options}
    samples = {"samples": planning["samples"]} if "samples" in planning else {}
    return fill_folder(pipe, plan_folder(photos, masks, out, **planning), out, steps=2, **samples, **options)
