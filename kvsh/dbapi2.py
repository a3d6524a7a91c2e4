"""`from sqlite3 import dbapi2`, as SQLAlchemy and Django have it, with kvsh in the place of sqlite3: the names of `kvsh`."""

from kvsh import *  # noqa: F403
from kvsh import __all__ as __all__
from kvsh import __getattr__ as __getattr__  # constants (SQLITE_...)
