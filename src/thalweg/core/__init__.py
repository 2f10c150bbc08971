"""The base that all other folders use and that knows nothing of networks: errors, files, arrays, noise, formulas."""
