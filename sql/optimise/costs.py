"""What things cost, in nanoseconds as measured: rows scanned, looked up and hashed."""

from __future__ import annotations

from math import log2

SCAN_ROW, WHOLE_ROW = 30.0, 120.0
"""A row of a scan; one of a larger table that is made for it, where not by column."""
KEY_ROW, PASSED_ROW = 35.0, 25.0
"""An entry of an index; one that OFFSET leaves out."""
FETCH_ROW, FEW_FETCHED = 2500.0, 1500.0
"""A row that an index leads to; where these are few, as of one row of a join, they have often been asked for before."""
NEIGHBOUR_ROW, NEIGHBOURS_MIN = 300.0, 32.0
"""A row that an index leads to beside the one before it; among how many rows it is looked whether they are such."""
SEEK = 3000.0
FILTER = 30.0
HASH_UNIQUE_ROW = 80.0
HASH_ROW, HASH_KEY = 120.0, 300.0
LEAF_ROWS = 64.0
COLUMN_LOOKUP, COLUMN_ROW = 150.0, 6.0
COLUMN_FILTER, COLUMN_SCAN_ROW = 8.0, 15.0
"""A condition on one row of a scan by column: most are decided by codes, which takes far less."""
COLUMN_ROWS_MIN, COLUMNS_SHARE = 2000.0, 32.0
"""A table's columns are read whole for look-ups where it is no small one, and one of so many rows is wanted: nearly
every leaf has some of those."""
PROBED_ROW, LATE_SHARE = 12.0, 8.0
"""A scan by column that asks for each row whether its key is one of some; these are at most one in so many rows."""
NEW_GROUP, ORDERED_ROW = 1300.0, 115.0
"""A group of several keys beside all others, until it stands in its place of their order; a row of an index that is put into
the group of the row before, or the next one."""
GROUPED_ROW, PRESENT_ROW = 100.0, 60.0
"""A row put into its group; one whose key is noted."""
HASH_PROBE, SUBQUERY_CALL = 100.0, 1500.0
"""A value asked of a hash table; a correlated subquery begun for one row."""
PREFIX, PREFIX_ROW, FETCHED_ROW = 600.0, 150.0, 700.0
FEW_COLUMNS, WIDE_COLUMN = 6, 150.0
"""What each column makes a row dearer that is fetched by itself, in tables of more columns than so few."""


def width_cost(columns: int) -> float:
    """What fetching a row costs more in a wide table: fewer rows share a leaf, and each has more to be made of it."""
    return WIDE_COLUMN * max(0, columns - FEW_COLUMNS)


def lookup_cost(size: float) -> float:
    """One look-up by key in a tree of so many entries: the larger, the more of it is in no cache."""
    return 200.0 + 130.0 * max(0.0, log2(max(size, 1.0) / 1000.0))


def probe_cost(size: float) -> float:
    """One look-up in a hash table of so many rows."""
    return 40.0 + 30.0 * max(0.0, log2(max(size, 1.0) / 10_000.0))


def hashed_cost(size: float) -> float:
    """A row put into the list of its key in a hash table of so many: the larger, the more of these are in no cache."""
    return HASH_ROW + 40.0 * max(0.0, log2(max(size, 1.0) / 4000.0))


def batched_cost(size: float, lookups: float) -> float:
    """One look-up of many that are sorted first: the fewer share a leaf, the more it is a descent."""
    leaves = size / LEAF_ROWS
    return 250.0 + (lookup_cost(size) + 300.0) * min(1.0, leaves / max(lookups, 1.0))
