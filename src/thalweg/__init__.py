"""Thalweg: a training laboratory for neural networks.

>>> import thalweg
>>> run = thalweg.train(["dense 16", "tanh", "dense 2", "softmax"], "rings", optimizer="adam 0.01", progress=False)
>>> run.measures["test"]["accuracy"] > 0.95
True
"""

import lazy_loader

# The stub beside this file lists the public names, for editors, type checkers and the interpreter alike. A name is
# imported when it is first used, so that the shell starts at once.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
