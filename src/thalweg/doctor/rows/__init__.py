"""What the doctor measures of rows: their order, copies, targets, labels, columns, and the sets they are split into."""
