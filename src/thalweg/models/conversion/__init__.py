"""Networks of PyTorch and Keras as networks of layers, and the way back. Neither library is imported before it is used.

What comes from either library is known by the name of its type's module, so that no import is needed to ask.
"""
