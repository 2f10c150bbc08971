"""Looks at single steps of a PyTorch training: hooks, replays and statistics. Everything here needs PyTorch."""
