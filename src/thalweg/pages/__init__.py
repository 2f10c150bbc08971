"""Pages of blocks (text, formulas, numbers, tables, figures) and their forms: terminal text, HTML, Markdown, JSON."""
