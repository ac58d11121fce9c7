"""TIFF files that are parts of a set of files: which pages and which description belong to each of them."""
