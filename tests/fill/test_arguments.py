"""What type checkers are told of a call, held to what the call takes and gives."""

import inspect
import subprocess
import sys
from dataclasses import fields

from PIL import Image

from maskmend.fill.arguments import FillArguments, SettingArguments
from maskmend.fill.result import Inpainted
from maskmend.pipeline import InpaintPipeline
from maskmend.settings import Settings


def test_every_argument_and_setting_is_known_to_type_checkers():
    """Catches an argument that a checker calls unknown, or that there is no more."""
    taken = inspect.signature(InpaintPipeline.__call__).parameters.values()
    keywords = {one.name for one in taken if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert set(SettingArguments.__annotations__) == {field.name for field in fields(Settings)}
    assert set(FillArguments.__annotations__) - set(SettingArguments.__annotations__) == keywords


def test_one_image_gives_one_fill_and_several_a_list():
    """Catches a call whose result is Any, so that no misspelt attribute is ever found."""
    told = "[typing.get_type_hints(it)['return'] for it in typing.get_overloads(InpaintPipeline.__call__)]"
    line = f"import typing; from maskmend import InpaintPipeline, Inpainted; print({told})"
    # In a process of its own: the checker of annotations that tests run under wraps all three alike.
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    one, several, arrays = ran.stdout.strip().strip("[]").split(", ")
    assert one == f"<class '{Inpainted.__module__}.Inpainted'>"
    assert several == f"list[{Inpainted.__module__}.Inpainted]"
    assert arrays == "typing.Any"  # its axes say which


def test_what_comes_back_is_of_the_types_that_are_told(tiny_pipeline):
    picture, mask = Image.new("RGB", (20, 20)), Image.new("L", (20, 20))
    assert isinstance(tiny_pipeline(picture, mask), Inpainted)
    assert [type(it) for it in tiny_pipeline([picture], [mask])] == [Inpainted]
