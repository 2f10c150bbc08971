"""Callbacks that watch trainings of other libraries: Lightning, Keras, skorch and Hugging Face's Trainer."""
