"""Changes of a spec and edits of rows: the remedies of findings, suspects, and the paired runs that confirm causes."""
