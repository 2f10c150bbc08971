"""Reading of table files: compression, encoding, separator, names, notation of numbers and dates; and Parquet."""
