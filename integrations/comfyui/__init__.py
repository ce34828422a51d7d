"""maskmend's nodes for ComfyUI. Lay this folder into ComfyUI's `custom_nodes`, as README.md says."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
