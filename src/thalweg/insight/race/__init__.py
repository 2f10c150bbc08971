"""The trials of an optimizer race: paths from many starts, and the tuning of each optimizer."""
