"""Changes of a spec: the remedies of findings, what may be put back, and the paired runs that confirm causes."""
