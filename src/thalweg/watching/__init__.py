"""The doctor for PyTorch: watches a training that you write yourself, and says why it does not learn."""
