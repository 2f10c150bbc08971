"""Recipes: a PyTorch training as factories, trained in a plain loop, with remedies that are tried in paired trials."""
