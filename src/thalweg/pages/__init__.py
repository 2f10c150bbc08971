"""Pages made of blocks (text, formulas, arrays, tables, charts), written as terminal text, HTML, Markdown and JSON."""
