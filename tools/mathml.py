"""Formulas as MathML, made while the site is built: browsers show them without a script from anywhere.

MkDocs runs this as a hook on each page, after Arithmatex has marked the formulas.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.+?)\\\)</span>', re.DOTALL)
_DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.+?)\\\]</div>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    content = _INLINE.sub(lambda match: convert(html.unescape(match[1])), content)
    return _DISPLAY.sub(lambda match: convert(html.unescape(match[1].strip()), display="block"), content)
