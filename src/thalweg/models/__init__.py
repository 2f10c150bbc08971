"""Networks made of layers: multi-layer perceptrons and linear units."""
