"""Test classes for plug-ins: derive one from each contract's class and run pytest.

`from lfads_torch.testing.generator_cell import GeneratorCellContract`, and so on. What ships with
lfads-torch is tested by the same classes.
"""
