"""maskmend's nodes for ComfyUI. Put this folder into ComfyUI's `custom_nodes`, as described in README.md."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
