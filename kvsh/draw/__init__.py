"""Drawings of the inside of a database for people: trees, pages, the log, where rows lie, crashes."""
