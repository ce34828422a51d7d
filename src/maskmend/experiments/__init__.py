"""Experiments of the documentation: the reproduction, the ablation, the comparison on photographs."""
