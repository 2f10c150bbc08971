"""The doctor's measurements of a watched training."""
