"""Live trainings: played, stepped, changed and taken back while somebody looks at them."""
