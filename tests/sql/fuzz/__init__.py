"""Random statements, run in kvsh's SQL layer and in sqlite3 and compared: see `runs` for how, and `__main__` for
the command that does it for as long as one likes.

`tables` makes data, `expressions` and `queries` make SELECTs over it, `writes` makes schemas and the statements
that change them, `cascades` triggers and foreign keys of many rows, `agreement` says what counts as the same answer."""
