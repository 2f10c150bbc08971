"""PyTorch and Keras: trainings of other libraries, watched, repaired and converted."""
