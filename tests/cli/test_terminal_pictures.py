"""Pictures in terminals: which protocol, and that each carries the picture; `--show`."""

import base64
import io
import os
import re
import sys
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fakes import box_mask, smooth_pixels
from maskmend.cli import main, showing, terminal_pictures
from maskmend.cli.terminal_pictures import fitted, in_protocol, knows_sixel, protocol_of

PIXELS = smooth_pixels(61, 97)
IMAGE = Image.fromarray(PIXELS)


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "3"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x,1,0"}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({}, None),
    ],
)
def test_a_terminal_is_known_by_what_it_calls_itself(environment, protocol):
    """Catches pages of base64 on a terminal that shows no pictures."""
    assert protocol_of(environment) == protocol


def test_a_terminal_tells_that_it_knows_sixel():
    assert knows_sixel(b"\x1b[?62;4;22c")
    for answer in (b"\x1b[?62;22c", b"\x1b[?4c", b"\x1b[?64;14;44c", b"", b"4c"):
        assert not knows_sixel(answer)


def test_kittys_pieces_are_the_picture():
    """Catches pieces that are too long, out of order, or without an end."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    sequences = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", in_protocol(noise, "kitty"))
    assert len(sequences) > 2
    assert sequences[0][0].startswith(b"a=T,f=100,")
    assert [keys[-3:] for keys, _ in sequences] == [b"m=1"] * (len(sequences) - 1) + [b"m=0"]
    assert max(len(piece) for _, piece in sequences) <= 4096
    content = base64.b64decode(b"".join(piece for _, piece in sequences))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(noise))


def test_iterms_file_is_the_picture():
    match = re.fullmatch(rb"\x1b\]1337;File=([^:]*):(.*)\x07\n", in_protocol(IMAGE, "iterm"), re.DOTALL)
    assert match is not None
    content = base64.b64decode(match[2])
    assert b"inline=1" in match[1]
    assert f"size={len(content)}".encode() in match[1]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), PIXELS)


def drawn(sixel: bytes, height: int, width: int) -> np.ndarray:
    """What a terminal draws: a reader of sixel graphics written for this test."""
    match = re.fullmatch(rb'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\\n', sixel, re.DOTALL)
    assert match is not None
    assert (int(match[1]), int(match[2])) == (width, height)
    palette, canvas = {}, np.full((-(-height // 6) * 6, width, 3), -1)
    colour = column = top = 0
    for word in re.finditer(rb"#(\d+)(;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", match[3]):
        if word[2]:
            palette[int(word[1])] = [int(word[n]) * 255 / 100 for n in (3, 4, 5)]
        elif word[1]:
            colour = int(word[1])
        elif word[9]:
            column, top = 0, top + 6 * (word[9] == b"-")
        else:
            bits, times = (word[7] or word[8])[0] - 63, int(word[6] or 1)
            for row in range(6):
                if bits >> row & 1:
                    assert column + times <= width
                    canvas[top + row, column : column + times] = palette[colour]
            column += times
    assert (canvas[:height] >= 0).all()
    return canvas[:height]


def test_sixels_are_the_picture_in_few_colours():
    """Catches rows that are shifted, colours that are exchanged, and columns that are counted wrongly."""
    found = drawn(in_protocol(IMAGE, "sixel"), 61, 97)
    assert np.abs(found - PIXELS).mean() < 6
    flat = Image.new("RGB", (13, 7), (255, 0, 51))
    np.testing.assert_allclose(drawn(in_protocol(flat, "sixel"), 7, 13), np.asarray(flat), atol=2)


def test_pictures_stand_side_by_side_and_fit():
    clear = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    strip = fitted([Image.new("RGB", (40, 20), "red"), clear], (1000, 600))
    assert strip.size == (88, 20)
    assert strip.getpixel((5, 5)) == (255, 0, 0)
    assert strip.getpixel((60, 5)) == (128, 128, 128)
    assert fitted([IMAGE] * 4, (100, 600)).width == 100
    assert fitted([IMAGE], (1000, 30)).height == 30


@pytest.fixture
def shown(tiny_model, tmp_path):
    Image.fromarray(smooth_pixels(20, 34)).save(tmp_path / "photo.png")
    Image.fromarray(box_mask(20, 34, 5, 6, 14, 19)).convert("L").save(tmp_path / "mask.png")

    def run(*options, output="out.png"):
        command = [
            "inpaint", str(tmp_path / "photo.png"), "--mask", str(tmp_path / "mask.png"), "--model",
            str(tiny_model), "--show", "-o", str(tmp_path / output) if output != "-" else "-", *options,
        ]  # fmt: skip
        return CliRunner().invoke(main, command, prog_name="maskmend")

    return run


def test_show_writes_the_picture_and_its_fills(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal_pictures, "terminal_protocol", lambda: "iterm")
    result = shown("--samples", "2")
    assert result.exit_code == 0, result.output
    match = re.search(rb"File=[^:]*:([^\x07]*)\x07", result.stdout_bytes)
    assert match is not None
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(match[1]))))
    assert strip.shape == (20, 3 * 34 + 2 * 8, 3)
    np.testing.assert_array_equal(strip[:, :34], np.asarray(Image.open(tmp_path / "photo.png")))
    np.testing.assert_array_equal(strip[:, 42:76], np.asarray(Image.open(tmp_path / "out-1.png")))
    np.testing.assert_array_equal(strip[:, 84:], np.asarray(Image.open(tmp_path / "out-2.png")))


def test_where_no_picture_can_be_shown_it_is_said(shown, tmp_path):
    result = shown()
    assert result.exit_code == 0, result.output
    assert showing.NONE in result.stderr
    assert (tmp_path / "out.png").is_file()
    piped = shown(output="-")
    assert piped.exit_code == 2
    assert "--output - does not take --show" in piped.stderr


def test_a_terminal_that_does_not_answer_is_not_waited_for(monkeypatch):
    """Catches a command that hangs, or types what it asked into the next prompt."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    try:
        opened = os.open
        monkeypatch.setattr(
            terminal_pictures.os, "open",
            lambda path, flags: os.dup(follower) if path == "/dev/tty" else opened(path, flags),
        )  # fmt: skip
        monkeypatch.setattr(terminal_pictures, "ANSWER", 0.05)
        assert terminal_pictures._asked(b"\x1b[c") == b""
        assert os.read(leader, 64) == b"\x1b[c"

        def answer():
            os.read(leader, 64)  # once it is asked: what was typed before is thrown away
            os.write(leader, b"\x1b[?62;4c")

        monkeypatch.setattr(terminal_pictures, "ANSWER", 600.0)
        terminal = threading.Thread(target=answer)
        terminal.start()
        assert knows_sixel(terminal_pictures._asked(b"\x1b[c"))
        terminal.join()
    finally:
        os.close(leader)
        os.close(follower)
    assert sys.stdout is not None
