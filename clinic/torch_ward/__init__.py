"""The clinic's PyTorch ward: programs with a known fault, their corrected twins, and healthy programs."""
