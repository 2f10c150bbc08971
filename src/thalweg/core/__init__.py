"""What every folder above needs and what knows nothing of networks: errors, files, arrays, noise, formulas."""
