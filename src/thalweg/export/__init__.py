"""Trained networks as files that work without Thalweg: ONNX, PyTorch, and Python with NumPy alone.

No form knows the layers. The forward pass runs once on traced arrays, which record its operations, and each form has
a word for every operation.
"""
