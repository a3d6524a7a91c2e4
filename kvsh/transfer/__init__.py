"""Data in and out of files: csv, tsv, json, jsonl and sql.

`import_file` loads a file into a table in one transaction, `export_file` writes a table or a query,
`dump` gives a database as SQL.  Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvsh.transfer.dumping import dump
    from kvsh.transfer.export import export_file, only_reading
    from kvsh.transfer.formats import TransferError, guess_format
    from kvsh.transfer.load import ImportOutcome, import_file

_HOMES = {
    "ImportOutcome": "load",
    "TransferError": "formats",
    "dump": "dumping",
    "export_file": "export",
    "guess_format": "formats",
    "import_file": "load",
    "only_reading": "export",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kvsh.transfer' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"kvsh.transfer.{home}"), name)
    return value


__all__ = [
    "ImportOutcome",
    "TransferError",
    "dump",
    "export_file",
    "guess_format",
    "import_file",
    "only_reading",
]
