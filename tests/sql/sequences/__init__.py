"""Long sequences of steps on one database, taken by kvsh and by sqlite3 alike, and compared after each.

What `tests.sql.fuzz` asks of single statements is asked here of what is kept from one statement to the next: plans
by shape, prepared short ways, readers that follow commits, changes that lie over the trees, columns and rows in
caches, pages that are changed in place.  So the same few queries are asked again and again with other values, between
all that can make what is kept wrong: changes of the schema, of few rows and of many, transactions, savepoints and
errors amidst them, other connections' commits, raw keys, a compaction, a new start, a process that was killed.

`steps` says what a step is, `values` makes what is stored, `statements` the templates of statements, `grammar` others of
random expressions, `maker` chooses steps, `pair` takes them on both sides and compares, `runs` finds the few steps that
it takes; `__main__` is the command."""
